//! What a copy of a whole database says of itself, and what makes a restored one another server's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Steps of the schema.
    pub schema_steps: usize,
    /// Of the database that was copied.
    pub data_epoch: String,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
}

/// A copy, and which images belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Of the copy.
    pub facts: Facts,
    /// The hash of each image's bytes.
    pub images: Vec<ImageBytes>,
}

/// The bytes of one or more images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageBytes {
    /// Their SHA-256.
    pub hash: String,
    /// Whether an image that was not deleted has them.
    pub live: bool,
}

/// A database that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its new one: clients send again what it no longer has.
    pub data_epoch: String,
    /// Where the data that was there before is now, if there was any.
    pub aside: Option<String>,
}

/// How far a restored database's generations rise above every one it knows of: more than were granted since the copy.
const RISE: i64 = 1 << 32;

/// No generation is granted at or below it. `known` is the highest floor or generation of the copy, and of the database
/// it replaces. The time puts every restore above the one before it, even where the same copy is restored twice and
/// what was granted in between is known nowhere: a million locks a second on one image would not catch up with it.
/// JavaScript counts exactly for another two hundred years of it.
pub(super) fn generation_floor(known: i64, now_ms: i64) -> i64 {
    (known + RISE).max(now_ms << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l4_restoring_the_same_copy_again_is_above_what_the_first_time_granted() {
        let now = 1_800_000_000_000;
        let first = generation_floor(7, now);
        let granted = first + 1000;
        assert!(generation_floor(7, now + 60_000) > granted);
        assert!(
            generation_floor(granted, now) > granted,
            "whatever the clock says"
        );
        assert!(first < 1 << 53, "exact for every client");
    }
}
