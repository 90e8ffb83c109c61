//! The language between client and server: ids, shapes, requests, answers, refusals and routes.
//!
//! **Invariant:** nothing here does I/O or knows an async runtime.

pub mod accounts;
pub mod annotations;
pub mod api;
pub mod changes;
pub mod geometry;
pub mod ids;
pub mod images;
pub mod locks;
pub mod meta;
pub mod projects;
pub mod refusal;
pub mod routes;

pub use accounts::{
    ApiToken, LoginRequest, LogoutRequest, MadeToken, NewToken, PasswordChange, RefreshRequest, TokenScope,
    Tokens, User,
};
pub use annotations::{
    Annotation, AnnotationFields, CreateAnnotation, ImageAnnotations, Removed, SaveContext, Saved,
    UpdateAnnotation,
};
pub use api::{Answer, Api, ApiError};
pub use changes::{Change, ChangePage, ServerEvent};
pub use geometry::Geometry;
pub use ids::{
    AnnotationId, ClientId, Cursor, Generation, IdempotencyKey, ImageId, LabelId, ProjectId, TokenId, UserId,
    Version,
};
pub use images::{Image, ImagePage};
pub use locks::{
    AcquireAnswer, AcquireRequest, Grant, Heartbeat, HeartbeatRequest, Lock, LockList, LockLoss, Release,
    ReleaseRequest,
};
pub use meta::Meta;
pub use projects::{Label, Project, Role};
pub use refusal::{Refusal, RefusalBody, RefusalDetail};
