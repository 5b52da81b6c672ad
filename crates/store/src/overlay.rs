//! Changes to rows that the base does not have yet, and the view through all layers.
//!
//! Newest first: what the running transaction has changed, the active overlay, the frozen ones, the
//! base. Values are shared, so that freezing and reading copy nothing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::key;
use crate::kv::{KvBase, KvError, Table};
use crate::presence::Presence;

/// Rows that were set (`Some`) or removed (`None`), and numbered things that are gone.
#[derive(Debug, Default)]
pub struct Overlay {
    rows: [BTreeMap<Vec<u8>, Option<Bytes>>; 4],
    /// All rows of these chunk or omap numbers are gone. Numbers are not used again and nothing
    /// refers to one that is gone, so reads need not look here.
    drops: Vec<(Table, u64)>,
    /// Blocks (first, count) that nothing refers to once this is checkpointed.
    pub freed: Vec<(u32, u32)>,
    /// About how much memory it takes.
    pub bytes: usize,
    /// The last transaction that is in it.
    pub last_txn: u64,
    pub next_id: u64,
}

/// Memory for a row besides key and value.
const ROW_OVERHEAD: usize = 96;

impl Overlay {
    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(BTreeMap::is_empty) && self.drops.is_empty() && self.freed.is_empty()
    }

    pub fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Bytes>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ROW_OVERHEAD;
        if let Some(old) = self.rows[table as usize].insert(key, value) {
            self.bytes = self.bytes.saturating_sub(old.map_or(0, |v| v.len()) + ROW_OVERHEAD);
        }
    }

    /// Forgets all rows of a chunk or omap number.
    pub fn drop_numbered(&mut self, table: Table, id: u64) {
        let rows = &mut self.rows[table as usize];
        let gone: Vec<_> =
            rows.range(key::numbered(id, &[])..key::numbered(id + 1, &[])).map(|(k, _)| k.clone()).collect();
        for key in gone {
            let old = rows.remove(&key).flatten();
            self.bytes = self.bytes.saturating_sub(key.len() + old.map_or(0, |v| v.len()) + ROW_OVERHEAD);
        }
        self.bytes += 16;
        self.drops.push((table, id));
    }

    /// Lets go of a block.
    pub fn free_block(&mut self, phys: u32) {
        match self.freed.last_mut() {
            Some((start, n)) if *start + *n == phys => *n += 1,
            _ => self.freed.push((phys, 1)),
        }
    }

    pub fn get(&self, table: Table, key: &[u8]) -> Option<&Option<Bytes>> {
        self.rows[table as usize].get(key)
    }

    pub fn rows(&self, table: Table) -> impl Iterator<Item = (&Vec<u8>, &Option<Bytes>)> {
        self.rows[table as usize].iter()
    }

    pub fn drops(&self, table: Table) -> impl Iterator<Item = u64> {
        self.drops.iter().filter(move |(t, _)| *t == table).map(|(_, id)| *id)
    }

    /// Takes over what a later transaction changed.
    pub fn merge(&mut self, later: Self) {
        for (table, id) in later.drops {
            self.drop_numbered(table, id);
        }
        for (table, rows) in Table::ALL.into_iter().zip(later.rows) {
            for (key, value) in rows {
                self.set(table, key, value);
            }
        }
        self.bytes += later.freed.len() * 8;
        self.freed.extend(later.freed);
    }
}

/// What is done with each row of a table.
pub type EachRow<'a, E> = dyn FnMut(&[u8], &Bytes) -> Result<(), E> + 'a;

/// All layers below a running transaction.
#[derive(Debug)]
pub struct Layers {
    pub active: Overlay,
    /// Oldest first.
    pub frozen: VecDeque<Arc<Overlay>>,
    pub base: Arc<dyn KvBase>,
    /// Which objects the base or a layer may have; `None` if that was not looked at.
    pub present: Option<Presence>,
    /// The base has no chunk or omap of this number or a later one.
    pub base_ids: u64,
}

impl Layers {
    pub fn over(base: Arc<dyn KvBase>) -> Self {
        Self { active: Overlay::default(), frozen: VecDeque::new(), base, present: None, base_ids: u64::MAX }
    }

    /// Takes over what a transaction changed.
    pub fn merge(&mut self, changes: Overlay) {
        if let Some(present) = &mut self.present {
            changes.rows(Table::Object).filter(|(_, row)| row.is_some()).for_each(|(key, _)| present.insert(key));
        }
        self.active.merge(changes);
    }

    /// Whether no layer has the object.
    fn is_absent(&self, table: Table, key: &[u8]) -> bool {
        table == Table::Object && self.present.as_ref().is_some_and(|p| !p.may_hold(key))
    }

    /// Whether the base need not be asked.
    fn is_new(&self, table: Table, key: &[u8]) -> bool {
        matches!(table, Table::Chunk | Table::Omap)
            && key::parse_numbered(key).is_some_and(|(id, _)| id >= self.base_ids)
    }

    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        if self.is_absent(table, key) {
            return Ok(None);
        }
        if let Some(found) = self.active.get(table, key) {
            return Ok(found.clone());
        }
        for overlay in self.frozen.iter().rev() {
            if let Some(found) = overlay.get(table, key) {
                return Ok(found.clone());
            }
        }
        if self.is_new(table, key) {
            return Ok(None);
        }
        self.base.get(table, key)
    }

    /// Calls `each` for all rows of a table, until it fails.
    pub fn scan_all<E: From<KvError>>(&self, table: Table, each: &mut EachRow<'_, E>) -> Result<(), E> {
        let mut result = Ok(());
        // No key begins with 16 bytes of 0xff: they begin with a small number.
        self.scan(None, table, &[], &[0xff; 16], &mut |key, value| {
            result = each(key, value);
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        result
    }

    /// Calls `each` for rows in `from..to` in order, until it breaks. `top` is looked at first.
    pub fn scan(
        &self,
        top: Option<&Overlay>,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), KvError> {
        if from >= to {
            return Ok(());
        }
        let bounds = || (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
        // Newest first, so that among equal keys the first layer found wins.
        let overlays = top.into_iter().chain([&self.active]).chain(self.frozen.iter().rev().map(|o| &**o));
        let mut layers: Vec<_> =
            overlays.map(|o| o.rows[table as usize].range::<[u8], _>(bounds()).peekable()).collect();
        let mut base = self.base.range(table, from, to)?;
        let mut base_row = base.next().transpose()?;
        loop {
            let in_overlays = layers.iter_mut().filter_map(|l| l.peek().map(|(k, _)| k.as_slice())).min();
            let in_base = base_row.as_ref().map(|(k, _)| k.as_slice());
            let from_base = match (in_overlays, in_base) {
                (None, None) => return Ok(()),
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(o), Some(b)) => b < o,
            };
            if from_base {
                let (key, value) = base_row.take().expect("just seen");
                base_row = base.next().transpose()?;
                if each(&key, &value).is_break() {
                    return Ok(());
                }
                continue;
            }
            let key = in_overlays.expect("just seen").to_vec();
            if in_base == Some(key.as_slice()) {
                base_row = base.next().transpose()?;
            }
            let mut newest = None;
            for layer in &mut layers {
                if let Some((_, value)) = layer.next_if(|(k, _)| **k == key) {
                    newest.get_or_insert(value);
                }
            }
            if let Some(Some(value)) = newest
                && each(&key, value).is_break()
            {
                return Ok(());
            }
        }
    }
}
