//! Why a change to the map was refused, and Ceph's errno for it.

/// A refused change. [`Self::errno`] is what Ceph answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrushError {
    #[error("'{0}' is not a valid crush name ([A-Za-z0-9_.-]+)")]
    InvalidName(String),
    #[error("item '{0}' does not exist")]
    NoSuchItem(String),
    #[error("item id {0} does not exist")]
    NoSuchId(i32),
    #[error("type '{0}' does not exist")]
    NoSuchType(String),
    #[error("rule {0} does not exist")]
    NoSuchRule(String),
    #[error("device class {0} does not exist")]
    NoSuchClass(String),
    #[error("root {root} has no devices with class {class}")]
    ClassNotInRoot { root: String, class: String },
    #[error("'{0}' already exists")]
    Exists(String),
    #[error("'{name}' exists and is of type {is}, not {wanted}")]
    WrongType { name: String, is: String, wanted: String },
    #[error("the item is already beneath '{0}'")]
    AlreadyThere(String),
    #[error("the item contains '{0}'; cannot form a loop")]
    Loop(String),
    #[error("no place was given that exists or can be created")]
    NoPlace,
    #[error("bucket '{0}' is not empty")]
    NotEmpty(String),
    #[error("'{0}' is in use by a rule or a device class")]
    InUse(String),
    #[error("'{0}' is a device, not a bucket")]
    NotABucket(String),
    #[error("'{0}' is a bucket, not a device")]
    NotADevice(String),
    #[error(
        "osd.{osd} has already bound to class '{has}', can not reset class to '{wanted}'; use 'ceph osd crush rm-device-class <id>' to remove old class first"
    )]
    ClassBound { osd: i32, has: String, wanted: String },
    #[error("weight is out of range")]
    Weight,
    #[error("the bucket's algorithm has no room for another item")]
    BucketFull,
    #[error("there is no free rule id")]
    NoFreeRule,
    #[error("unknown tunables profile '{0}'")]
    NoSuchProfile(String),
    #[error("srcname = '{src}' does not exist and dstname = '{dst}' already exists")]
    AlreadyRenamed { src: String, dst: String },
}

impl CrushError {
    /// Ceph's errno, positive.
    pub fn errno(&self) -> i32 {
        const ENOENT: i32 = 2;
        const EBUSY: i32 = 16;
        const EEXIST: i32 = 17;
        const ENOTDIR: i32 = 20;
        const EINVAL: i32 = 22;
        const ENOSPC: i32 = 28;
        const ENOTEMPTY: i32 = 39;
        const ELOOP: i32 = 40;
        const EOVERFLOW: i32 = 75;
        const EALREADY: i32 = 114;
        match self {
            Self::NoSuchItem(_) | Self::NoSuchId(_) | Self::NoSuchRule(_) | Self::NoSuchClass(_) => ENOENT,
            Self::Exists(_) => EEXIST,
            Self::InUse(_) | Self::ClassBound { .. } => EBUSY,
            Self::NotABucket(_) => ENOTDIR,
            Self::NotEmpty(_) => ENOTEMPTY,
            Self::Loop(_) => ELOOP,
            Self::Weight => EOVERFLOW,
            Self::BucketFull | Self::NoFreeRule => ENOSPC,
            Self::AlreadyRenamed { .. } => EALREADY,
            Self::InvalidName(_)
            | Self::NoSuchType(_)
            | Self::ClassNotInRoot { .. }
            | Self::WrongType { .. }
            | Self::AlreadyThere(_)
            | Self::NoPlace
            | Self::NotADevice(_)
            | Self::NoSuchProfile(_) => EINVAL,
        }
    }
}
