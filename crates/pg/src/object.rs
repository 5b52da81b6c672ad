//! What the primary holds in memory of an object that ops touch: its state, its snapshots, and who
//! is at it right now.
//!
//! Invariants:
//! - A context says what the newest *submitted* transaction made of the object, committed or not:
//!   whoever submits a [`crate::ops::WriteSet`] puts its contexts here in the same step.
//! - Contexts outlive nothing: an interval change clears them all ([`ObjectContexts::clear`]), a push
//!   that replaces an object forgets its own ([`ObjectContexts::forget`]).

use denc::from_bytes;
use foldhash::HashMap;
use os::{Coll, ObjectRead, ReadError};
use types::{GHObject, HObject, ObjectInfo, SnapSet};

/// `OI_ATTR`: the attribute that holds the object's `object_info_t`.
pub const OI_ATTR: &str = "_";
/// `SS_ATTR`: the attribute of a head that holds its `SnapSet`.
pub const SS_ATTR: &str = "snapset";

/// `ObjectState`: whether the object is there, and its info (of a deleted one: what is remembered).
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectState {
    pub exists: bool,
    pub oi: ObjectInfo,
}

/// `ObjectContext` without its locks and watchers (see [`ObjectContexts::rw`], `crate::watch`).
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectContext {
    pub obs: ObjectState,
    /// The snapshots of the object's family. Only a head's is kept true.
    pub ssc: SnapSet,
}

impl ObjectContext {
    /// One that does not exist yet.
    pub fn absent(soid: HObject) -> Self {
        let oi = ObjectInfo { soid, ..ObjectInfo::default() };
        Self { obs: ObjectState { exists: false, oi }, ssc: SnapSet::default() }
    }
}

/// How an op must be ordered against others on its object (Ceph: `RWState`). Writes share: they are
/// pipelined. Reads wait for writes that have not committed everywhere, so none sees what may yet be
/// lost; so does a write that depends on data it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    None,
    Read,
    Write,
    Exclusive,
}

/// Who is at an object: so many of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum RwState {
    #[default]
    Free,
    Readers(u32),
    Writers(u32),
    Exclusive,
}

impl RwState {
    fn taken(self, lock: Lock) -> Option<Self> {
        match (self, lock) {
            (held, Lock::None) => Some(held),
            (Self::Free, Lock::Read) => Some(Self::Readers(1)),
            (Self::Readers(n), Lock::Read) => Some(Self::Readers(n + 1)),
            (Self::Free, Lock::Write) => Some(Self::Writers(1)),
            (Self::Writers(n), Lock::Write) => Some(Self::Writers(n + 1)),
            (Self::Free, Lock::Exclusive) => Some(Self::Exclusive),
            _ => None,
        }
    }

    fn released(self, lock: Lock) -> Self {
        match (self, lock) {
            (held, Lock::None) => held,
            (Self::Readers(1), Lock::Read) | (Self::Writers(1), Lock::Write) | (Self::Exclusive, Lock::Exclusive) => {
                Self::Free
            }
            (Self::Readers(n), Lock::Read) => Self::Readers(n - 1),
            (Self::Writers(n), Lock::Write) => Self::Writers(n - 1),
            (held, lock) => panic!("released {lock:?}, but the object is {held:?}"),
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// `None` while only a lock is held.
    context: Option<ObjectContext>,
    rw: RwState,
}

/// How many contexts are kept that nobody holds a lock on (Ceph: `osd_pg_object_context_cache_count`
/// is 64; ours hold no locks of their own and are cheaper than a read of the store).
const IDLE_CONTEXTS_MAX: usize = 1024;

/// The contexts of one PG, loaded from the store on first use, and the locks on its objects.
#[derive(Debug, Default)]
pub struct ObjectContexts {
    // Never iterated where order could be seen.
    slots: HashMap<HObject, Slot>,
}

impl ObjectContexts {
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// The context of `soid`, read from the store unless it is here; one that does not exist if the
    /// store has no such object.
    ///
    /// # Errors
    /// If the store cannot read it, or what it holds is not an `object_info_t`.
    pub fn load(
        &mut self,
        store: &dyn ObjectRead,
        coll: Coll,
        soid: &HObject,
    ) -> Result<&mut ObjectContext, ReadError> {
        // Two look-ups instead of a match: the borrow checker does not let an early return keep the first.
        if self.slots.get(soid).is_none_or(|s| s.context.is_none()) {
            self.make_room();
            let context = read_context(store, coll, soid)?;
            self.slots.entry(soid.clone()).or_default().context = Some(context);
        }
        Ok(self.slots.get_mut(soid).and_then(|s| s.context.as_mut()).expect("just put there"))
    }

    /// The context if it is here.
    pub fn get(&self, soid: &HObject) -> Option<&ObjectContext> {
        self.slots.get(soid)?.context.as_ref()
    }

    /// What the object is from now on.
    pub fn put(&mut self, context: ObjectContext) {
        match self.slots.get_mut(&context.obs.oi.soid) {
            Some(slot) => slot.context = Some(context),
            None => {
                self.make_room();
                let soid = context.obs.oi.soid.clone();
                self.slots.insert(soid, Slot { context: Some(context), rw: RwState::Free });
            }
        }
    }

    /// Takes the lock if nobody is at the object in another way.
    pub fn try_lock(&mut self, soid: &HObject, lock: Lock) -> bool {
        if lock == Lock::None {
            return true;
        }
        match self.slots.get_mut(soid) {
            Some(slot) => slot.rw.taken(lock).map(|rw| slot.rw = rw).is_some(),
            None => {
                let rw = RwState::Free.taken(lock).expect("a free object can be locked");
                self.slots.insert(soid.clone(), Slot { context: None, rw });
                true
            }
        }
    }

    /// Gives back a lock that [`Self::try_lock`] gave. True if the object is free now, so that those
    /// who wait for it may try again.
    pub fn unlock(&mut self, soid: &HObject, lock: Lock) -> bool {
        if lock == Lock::None {
            return false;
        }
        let slot = self.slots.get_mut(soid).expect("a locked object has a slot");
        slot.rw = slot.rw.released(lock);
        let free = slot.rw == RwState::Free;
        if free && slot.context.is_none() {
            self.slots.remove(soid);
        }
        free
    }

    /// Whether some op is at the object.
    pub fn is_locked(&self, soid: &HObject) -> bool {
        self.slots.get(soid).is_some_and(|s| s.rw != RwState::Free)
    }

    /// Drops what is known of an object that something else than an op has changed. Locks stay.
    pub fn forget(&mut self, soid: &HObject) {
        if let Some(slot) = self.slots.get_mut(soid) {
            slot.context = None;
            if slot.rw == RwState::Free {
                self.slots.remove(soid);
            }
        }
    }

    /// Drops everything, locks as well: the interval is over and with it all ops under way.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    fn make_room(&mut self) {
        if self.slots.len() >= IDLE_CONTEXTS_MAX {
            // All of the idle ones at once: amortised, and independent of the map's order.
            self.slots.retain(|_, slot| slot.rw != RwState::Free);
        }
    }
}

/// The `object_info_t` of an object, if it is there.
///
/// # Errors
/// If the store cannot read it, or it makes no sense.
pub fn read_object_info(store: &dyn ObjectRead, coll: Coll, oid: &GHObject) -> Result<Option<ObjectInfo>, ReadError> {
    let Some(raw) = store.attr(coll, oid, OI_ATTR.as_bytes())? else { return Ok(None) };
    from_bytes(raw).map(Some).map_err(|why| ReadError::Io {
        coll,
        oid: Box::new(oid.clone()),
        off: 0,
        why: format!("attribute {OI_ATTR}: {why}"),
    })
}

fn read_context(store: &dyn ObjectRead, coll: Coll, soid: &HObject) -> Result<ObjectContext, ReadError> {
    let oid = GHObject::from(soid.clone());
    let damaged = |name: &str, why: &dyn std::fmt::Display| ReadError::Io {
        coll,
        oid: Box::new(oid.clone()),
        off: 0,
        why: format!("attribute {name}: {why}"),
    };
    // Every object has an info, and every head a snapset: what lost them must not be taken for new.
    const GONE: &str = "is gone";
    let Some(raw) = store.attr(coll, &oid, OI_ATTR.as_bytes())? else {
        return match store.stat(coll, &oid)? {
            Some(_) => Err(damaged(OI_ATTR, &GONE)),
            None => Ok(ObjectContext::absent(soid.clone())),
        };
    };
    let oi: ObjectInfo = from_bytes(raw).map_err(|e| damaged(OI_ATTR, &e))?;
    if oi.soid != *soid {
        return Err(damaged(OI_ATTR, &format!("is that of {}", oi.soid)));
    }
    let ssc = match soid.is_head() {
        true => match store.attr(coll, &oid, SS_ATTR.as_bytes())? {
            Some(raw) => from_bytes(raw).map_err(|e| damaged(SS_ATTR, &e))?,
            None => return Err(damaged(SS_ATTR, &GONE)),
        },
        false => SnapSet::default(),
    };
    Ok(ObjectContext { obs: ObjectState { exists: true, oi }, ssc })
}
