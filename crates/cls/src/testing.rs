//! An object in memory, for the classes' tests.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Encoder};
use types::errno::{EEXIST, EINVAL, EIO, ENODATA, ENOENT};
use types::{AddrType, EntityAddr, EntityInst, EntityName, UTime};

use crate::{ClsContext, Flags, Result};

pub struct Object {
    pub now: UTime,
    pub client: i64,
    pub exists: bool,
    pub data: Vec<u8>,
    pub xattrs: BTreeMap<ByteStr, Bytes>,
    pub omap: BTreeMap<ByteStr, Bytes>,
    flags: Flags,
}

impl Default for Object {
    fn default() -> Self {
        Self {
            now: UTime { sec: 1_000, nsec: 0 },
            client: 4100,
            exists: false,
            data: vec![],
            xattrs: BTreeMap::new(),
            omap: BTreeMap::new(),
            flags: Flags::RdWr,
        }
    }
}

impl Object {
    pub fn with_data(data: &[u8]) -> Self {
        Self { exists: true, data: data.to_vec(), ..Self::default() }
    }

    /// Calls a method as the OSD would; a failure changes nothing only because the tests' methods check first.
    pub fn call(&mut self, class: &str, method: &str, input: &[u8]) -> Result<Vec<u8>> {
        let method = crate::find(class.as_bytes()).and_then(|c| c.method(method.as_bytes())).ok_or(EINVAL)?;
        self.flags = method.flags;
        let mut out = Encoder::new(0);
        (method.call)(self, Bytes::copy_from_slice(input), &mut out)?;
        Ok(out.finish().to_vec())
    }

    fn reads(&self) -> Result<()> {
        if self.flags.reads() { Ok(()) } else { Err(EIO) }
    }

    fn writes(&mut self) -> Result<()> {
        if !self.flags.writes() {
            return Err(EIO);
        }
        self.exists = true;
        Ok(())
    }
}

impl ClsContext for Object {
    fn now(&self) -> UTime {
        self.now
    }

    fn origin(&self) -> EntityInst {
        let addr = EntityAddr::parse("v1:127.0.0.1:0/77", AddrType::Legacy).expect("an address");
        EntityInst { name: EntityName::client(self.client), addrs: addr.into() }
    }

    fn features(&self) -> u64 {
        types::features::ALL
    }

    fn unique(&self) -> [u8; 18] {
        [7; 18]
    }

    fn stat(&mut self) -> Result<(u64, UTime)> {
        if self.exists { Ok((self.data.len() as u64, UTime::ZERO)) } else { Err(ENOENT) }
    }

    fn read(&mut self, off: u64, len: u64) -> Result<Bytes> {
        self.reads()?;
        let data = self.data.iter().copied().skip(off as usize);
        Ok(if len == 0 { data.collect() } else { data.take(len as usize).collect() })
    }

    fn xattr(&mut self, name: &[u8]) -> Result<Bytes> {
        self.reads()?;
        let missing = if self.exists { ENODATA } else { ENOENT };
        self.xattrs.get(name).cloned().ok_or(missing)
    }

    fn xattrs(&mut self) -> Result<BTreeMap<ByteStr, Bytes>> {
        self.reads()?;
        if self.exists { Ok(self.xattrs.clone()) } else { Err(ENOENT) }
    }

    fn omap_value(&mut self, key: &[u8]) -> Result<Bytes> {
        self.reads()?;
        self.omap.get(key).cloned().ok_or(ENOENT)
    }

    fn omap_values(&mut self, after: &[u8], prefix: &[u8], max: u64) -> Result<(Vec<(ByteStr, Bytes)>, bool)> {
        self.reads()?;
        let all = self.omap.iter().filter(|(k, _)| k.as_bytes() > after && k.as_bytes().starts_with(prefix));
        let mut all: Vec<_> = all.map(|(k, v)| (k.clone(), v.clone())).collect();
        let more = all.len() as u64 > max;
        all.truncate(max as usize);
        Ok((all, more))
    }

    fn omap_header(&mut self) -> Result<Bytes> {
        self.reads()?;
        Ok(Bytes::new())
    }

    fn create(&mut self, exclusive: bool) -> Result<()> {
        if exclusive && self.exists {
            return Err(EEXIST);
        }
        self.writes()
    }

    fn remove(&mut self) -> Result<()> {
        self.writes()?;
        *self = Self { now: self.now, client: self.client, ..Self::default() };
        Ok(())
    }

    fn write(&mut self, off: u64, data: Bytes) -> Result<()> {
        self.writes()?;
        let (off, end) = (off as usize, off as usize + data.len());
        self.data.resize(self.data.len().max(end), 0);
        self.data[off..end].copy_from_slice(&data);
        Ok(())
    }

    fn write_full(&mut self, data: Bytes) -> Result<()> {
        self.writes()?;
        self.data = data.to_vec();
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.writes()?;
        self.data.resize(size as usize, 0);
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: Bytes) -> Result<()> {
        self.writes()?;
        self.xattrs.insert(name.into(), value);
        Ok(())
    }

    fn rm_xattr(&mut self, name: &[u8]) -> Result<()> {
        self.writes()?;
        self.xattrs.remove(name);
        Ok(())
    }

    fn omap_set(&mut self, pairs: BTreeMap<ByteStr, Bytes>) -> Result<()> {
        self.writes()?;
        self.omap.extend(pairs);
        Ok(())
    }

    fn omap_rm(&mut self, keys: Vec<ByteStr>) -> Result<()> {
        self.writes()?;
        keys.iter().for_each(|k| drop(self.omap.remove(k)));
        Ok(())
    }

    fn omap_clear(&mut self) -> Result<()> {
        self.writes()?;
        self.omap.clear();
        Ok(())
    }

    fn omap_set_header(&mut self, _: Bytes) -> Result<()> {
        self.writes()
    }
}
