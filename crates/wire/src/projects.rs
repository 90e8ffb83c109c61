//! Projects, their people's roles and their labels.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;

use crate::{LabelId, ProjectId};

/// What someone may do in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but giving the project away.
    Manager,
    /// Draws; changes his own annotations, and everyone's where the project allows it.
    Annotator,
    /// Says of an annotation whether it is right.
    Reviewer,
    /// Looks.
    Viewer,
}

impl Role {
    /// May end another's lock and change anyone's annotation.
    pub fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Manager)
    }

    /// May take a lock and create annotations.
    pub fn annotates(self) -> bool {
        self.manages() || self == Self::Annotator
    }
}

/// A project as its member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Project {
    /// Chosen by who made it.
    pub id: ProjectId,
    /// As people see it.
    pub name: String,
    /// The asking user's.
    pub role: Role,
    /// Annotators may change what others drew.
    pub annotators_edit_all: bool,
}

/// What an annotation says is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Label {
    /// Stays when the name changes.
    pub id: LabelId,
    /// As people see it.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
    /// A digit key, `1` to `9` or `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotkey: Option<String>,
    /// Allowed geometries, skeleton, attribute definitions and what later versions add.
    #[serde(flatten)]
    #[ts(skip)]
    pub more: Map<String, Value>,
}
