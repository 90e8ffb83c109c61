//! Enums in text columns, under their names on the wire.

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) fn to_name(value: impl Serialize) -> anyhow::Result<String> {
    serde_json::to_value(value)?
        .as_str()
        .map(str::to_owned)
        .context("not a name")
}

pub(super) fn from_name<T: DeserializeOwned>(name: String) -> anyhow::Result<T> {
    Ok(serde_json::from_value(name.into())?)
}
