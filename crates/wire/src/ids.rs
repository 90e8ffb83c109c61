//! The names things go by. Text ids are chosen by whoever makes the thing; numbers are the server's.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use uuid::Uuid;

/// Wraps a text in a type of its own, so that an image's id is never passed for a project's.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as it is written on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Wraps a whole number in a type of its own.
macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
        #[serde(transparent)]
        pub struct $name(#[ts(type = "number")] pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id!(
    /// A project: text of 1 to 50 printable characters.
    ProjectId
);
text_id!(
    /// An image within its project: text of 1 to 255 printable characters.
    ImageId
);
text_id!(
    /// An annotation: a UUIDv7, made by the client so that a retried create is the same create.
    AnnotationId
);
text_id!(
    /// A label of a project.
    LabelId
);
text_id!(
    /// One installation's one window: what a lock belongs to beside its user. At most 64 characters.
    ClientId
);
text_id!(
    /// A UUIDv7 that names one attempt to write, however often it is sent.
    IdempotencyKey
);
number_id!(
    /// A person's account.
    UserId
);
number_id!(
    /// A token made for a script.
    TokenId
);
number_id!(
    /// The number a save is based on; grows by one with each save of an annotation.
    Version
);
number_id!(
    /// Grows with each grant of an image's lock, for ever.
    Generation
);
number_id!(
    /// A place in a project's change feed. 0 is the beginning.
    Cursor
);

impl AnnotationId {
    /// A new id no one else has.
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }
}

impl Default for AnnotationId {
    fn default() -> Self {
        Self::new()
    }
}

impl IdempotencyKey {
    /// A new key for a new write.
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }
}

impl Default for IdempotencyKey {
    fn default() -> Self {
        Self::new()
    }
}

impl Version {
    /// The version of an annotation that was just created.
    pub const FIRST: Self = Self(1);

    /// The version the next save makes.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
