//! The names things go by. Text ids are chosen by whoever makes the thing; numbers are the server's.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use uuid::Uuid;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// There is nothing.
    #[error("an id is empty")]
    Empty,
    /// With the number of characters it may have.
    #[error("an id is longer than {0} characters")]
    Long(usize),
    /// NUL, a line's end and the like.
    #[error("an id has characters that cannot be printed")]
    Unprintable,
}

/// Wraps a text in a type of its own, so that an image's id is never passed for a project's. What is read from elsewhere
/// is checked: no id is empty, longer than it may be, or holds what cannot be printed.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident: $longest:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
        #[serde(try_from = "String")]
        #[cfg_attr(
            feature = "openapi",
            derive(utoipa::ToSchema),
            schema(value_type = String, min_length = 1, max_length = $longest, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")
        )]
        pub struct $name(pub String);

        impl TryFrom<String> for $name {
            type Error = IdFault;

            fn try_from(text: String) -> Result<Self, IdFault> {
                match text.chars().count() {
                    0 => Err(IdFault::Empty),
                    length if length > $longest => Err(IdFault::Long($longest)),
                    _ if text.chars().any(char::is_control) => Err(IdFault::Unprintable),
                    _ => Ok(Self(text)),
                }
            }
        }

        impl $name {
            /// In characters.
            pub const LONGEST: usize = $longest;

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
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    ProjectId: 50
);
text_id!(
    /// An image within its project: text of 1 to 255 printable characters.
    ImageId: 255
);
text_id!(
    /// An annotation: a UUIDv7, made by the client so that a retried create is the same create.
    AnnotationId: 64
);
text_id!(
    /// A label of a project.
    LabelId: 64
);
text_id!(
    /// One installation's one window: what a lock belongs to beside its user. At most 64 characters.
    ClientId: 64
);
text_id!(
    /// A UUIDv7 that names one attempt to write, however often it is sent.
    IdempotencyKey: 64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_cannot_be_one_is_not_read() {
        let read =
            |text: &str| serde_json::from_value::<ProjectId>(text.into()).map_err(|fault| fault.to_string());
        assert_eq!(read("a/b ü"), Ok(ProjectId::from("a/b ü")));
        assert_eq!(read(&"ü".repeat(50)), Ok(ProjectId("ü".repeat(50))));
        for text in ["", "a\0", "a\nb", "\u{85}", &"ü".repeat(51)] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
