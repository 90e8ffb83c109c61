//! The OpenAPI document, made from the list of operations.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::Paths;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder};

use super::operation::{BEARER, Operation};
use super::operations;

/// The document as JSON.
pub(crate) fn openapi() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = of(operations())
            .to_pretty_json()
            .expect("the document is plain data");
        text.push('\n');
        text
    });
    &TEXT
}

pub(super) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi()).into_response()
}

fn of(operations: Vec<Operation>) -> OpenApi {
    let (mut paths, mut components) = (Paths::new(), Components::new());
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(BEARER, bearer);
    for operation in operations {
        components.schemas.extend(operation.draft.schemas);
        paths.add_path_operation(operation.path, vec![operation.method], operation.draft.operation);
    }
    let info = InfoBuilder::new()
        .title("Lockstep")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Images annotated by many, none of whom overwrites another."));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .build()
}
