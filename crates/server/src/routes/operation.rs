//! One operation of the contract: its route, its documentation and who may use it, said once.
//!
//! What a handler takes and gives is read off its signature; what a signature cannot say (who may, which refusals) is said
//! in the list of operations.
//!
//! **Invariant:** the router is made of operations alone, so no route is without its documentation or its access.

use std::any::type_name;
use std::collections::BTreeMap;
use std::future::Future;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{NoContent, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use lockstep_wire::{AnnotationId, Cursor, Generation, ProjectId, RefusalBody, TokenId, routes as at};
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation as Documented, OperationBuilder, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response as DocumentedResponse, ResponseBuilder};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Required, Schema};
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::answer::{Answered, Created};
use super::extract::{
    Asked, At, AtHome, Body, Caller, ClientAddress, Context, LastHeard, Listener, OptionalBody,
};

/// Bytes of a body that someone may send who has not signed in: addresses, passwords and tokens are far shorter. A
/// thousand requests at once must not take the server's memory.
const STRANGERS_LIMIT: usize = 64 << 10;

/// The name of the one way to sign in, in the document.
pub(super) const BEARER: &str = "bearer";

/// Who may use an operation. The matrix test asks each of them of each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Access {
    /// Everyone, signed in or not.
    Anyone,
    /// Whoever has an account.
    SignedIn,
    /// Every member of the project; others do not learn that it is there.
    Member,
    /// Owner, manager and annotator.
    Annotator,
    /// Owner and manager.
    Manager,
}

impl Access {
    fn refusals(self) -> &'static [u16] {
        match self {
            Self::Anyone => &[],
            Self::SignedIn => &[401],
            Self::Member => &[401, 404],
            Self::Annotator | Self::Manager => &[401, 403, 404],
        }
    }
}

/// See the module.
pub(super) struct Operation {
    pub(super) path: String,
    pub(super) method: HttpMethod,
    pub(super) draft: Draft,
    pub(super) route: MethodRouter<Server>,
    pub(super) pace: Pace,
}

/// How long a request may take, and whether it waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Read and answered at once.
    Prompt,
    /// As long as something comes.
    Upload,
    /// Answered even when there is no room for anything else.
    Operator,
}

/// An operation below the contract's base path.
macro_rules! verb {
    ($name:ident, $filter:ident, $method:ident) => {
        pub(super) fn $name<H, T, A>(path: &'static str, access: Access, says: &str, handler: H) -> Operation
        where
            H: Handler<T, Server> + Signature<A>,
            T: 'static,
        {
            let route = on(MethodFilter::$filter, handler);
            Operation::new::<H, A>(path, HttpMethod::$method, access, says, route)
        }
    };
}

verb!(get, GET, Get);
verb!(post, POST, Post);
verb!(put, PUT, Put);
verb!(patch, PATCH, Patch);
verb!(delete, DELETE, Delete);

impl Operation {
    fn new<H: Signature<A>, A>(
        path: &'static str,
        method: HttpMethod,
        access: Access,
        says: &str,
        route: MethodRouter<Server>,
    ) -> Self {
        let mut names = type_name::<H>().rsplit("::");
        let (name, noun) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let who = ExtensionsBuilder::new().add("x-access", json!(access)).build();
        let operation = OperationBuilder::new()
            .operation_id(Some(format!("{noun}_{name}")))
            .tag(noun)
            .summary(Some(says))
            .extensions(Some(who));
        let mut draft = Draft {
            path,
            operation: operation.build(),
            schemas: BTreeMap::new(),
        };
        H::describe(&mut draft);
        draft.refuses(access.refusals());
        // A token may be for reading alone.
        if draft.operation.security.is_some() && !matches!(method, HttpMethod::Get) {
            draft.refuses(&[403]);
        }
        // The database may be busy, or the disk full; and nobody is without fault.
        draft.refuses(&[500, 503]);
        if !draft.operation.parameters.as_ref().is_none_or(Vec::is_empty) {
            draft.refuses(&[422]);
        }
        let path = format!("{}{path}", at::BASE);
        let route = match access {
            Access::Anyone => route.layer(DefaultBodyLimit::max(STRANGERS_LIMIT)),
            _ => route,
        };
        Self {
            path,
            method,
            draft,
            route,
            pace: Pace::Prompt,
        }
    }

    /// Not below the contract's base path: for whoever operates the server.
    pub(super) fn at_the_root(mut self) -> Self {
        self.path = self.draft.path.to_owned();
        self.pace = Pace::Operator;
        self
    }

    /// Statuses that neither its access nor its signature implies.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.draft.refuses(statuses);
        self
    }

    /// A JSON answer that the handler writes by itself.
    pub(super) fn gives<T: ToSchema>(mut self, status: u16) -> Self {
        self.draft.gives_json::<T>(status);
        self
    }

    /// An answer that has no type of its own here.
    pub(super) fn gives_content(mut self, status: u16, media_type: &str, says: &str) -> Self {
        let shape = match media_type {
            "application/json" => ObjectBuilder::new(),
            _ => ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))),
        };
        let content = Content::new(Some(Schema::from(shape)));
        let answer = ResponseBuilder::new()
            .description(says)
            .content(media_type, content);
        self.draft.answer(status, answer.build());
        self
    }

    /// An answer without a body.
    pub(super) fn gives_nothing(mut self, status: u16, says: &str) -> Self {
        self.draft.answer(status, DocumentedResponse::new(says));
        self
    }

    /// A header it looks at.
    pub(super) fn hears(mut self, name: &str, says: &str) -> Self {
        self.draft
            .header(name, says, ObjectBuilder::new().schema_type(Type::String).into());
        self
    }

    /// A form with a file in it, that the handler reads by itself.
    pub(super) fn takes_form<T: ToSchema>(mut self) -> Self {
        self.draft.body::<T>("multipart/form-data", Required::True);
        self
    }

    /// A large body: its handler reads it as it comes, and says when it is too much.
    pub(super) fn of_any_length(mut self) -> Self {
        self.pace = Pace::Upload;
        self.route = self.route.layer(DefaultBodyLimit::disable());
        self
    }
}

/// What is known of an operation's documentation.
pub(super) struct Draft {
    path: &'static str,
    pub(super) operation: Documented,
    /// The shapes it refers to.
    pub(super) schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Draft {
    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut found = Vec::new();
        T::schemas(&mut found);
        self.schemas.extend(found);
        let name = T::name();
        // Lists and options have no name of their own.
        if ["Vec", "Option"].contains(&name.as_ref()) {
            return T::schema();
        }
        self.schemas.insert(name.to_string(), T::schema());
        Ref::from_schema_name(name).into()
    }

    fn header(&mut self, name: &str, says: &str, schema: RefOr<Schema>) {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(says))
            .schema(Some(schema));
        self.operation
            .parameters
            .get_or_insert_default()
            .push(header.build().into());
    }

    fn answer(&mut self, status: u16, answer: DocumentedResponse) {
        self.operation
            .responses
            .responses
            .insert(status.to_string(), answer.into());
    }

    fn gives_json<T: ToSchema>(&mut self, status: u16) {
        let content = Content::new(Some(self.schema::<T>()));
        let says = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let answer = ResponseBuilder::new().description(says.unwrap_or_default());
        self.answer(status, answer.content("application/json", content).build());
    }

    fn refuses(&mut self, statuses: &[u16]) {
        for status in statuses {
            let content = Content::new(Some(self.schema::<RefusalBody>()));
            let mut answer = ResponseBuilder::new()
                .description(refusal(*status))
                .content("application/json", content);
            if matches!(status, 429 | 503) {
                let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
                let header = HeaderBuilder::new()
                    .schema(Some(Schema::from(seconds)))
                    .description(Some("Seconds to wait before asking again."));
                answer = answer.header("retry-after", header.build());
            }
            self.answer(*status, answer.build());
        }
    }

    fn body<T: ToSchema>(&mut self, media_type: &str, required: Required) {
        let content = Content::new(Some(self.schema::<T>()));
        let body = RequestBodyBuilder::new()
            .content(media_type, content)
            .required(Some(required));
        self.operation.request_body = Some(body.build().into());
        self.refuses(&[413, 422]);
    }
}

/// What a refusal's status means, in every operation (contract B1).
fn refusal(status: u16) -> &'static str {
    match status {
        401 => "Sign in.",
        403 => "Not allowed.",
        404 => "No such thing, or not for the caller to know of.",
        409 => "The version differs from the stored one.",
        410 => "It was deleted.",
        416 => "The bytes end before the range begins.",
        413 => "The body is larger than the server takes.",
        422 => "Malformed, or an idempotency key used again with another body.",
        423 => "For a lock: someone else's, or the caller's that is no more.",
        429 => "Too often.",
        503 => "Not now.",
        _ => "The server's own fault.",
    }
}

/// A part of a handler's arguments.
pub(super) trait Takes {
    fn takes(draft: &mut Draft);
}

/// A handler's answer.
pub(super) trait Gives {
    fn gives(draft: &mut Draft);
}

/// A handler whose arguments and answer document themselves.
pub(super) trait Signature<A> {
    fn describe(draft: &mut Draft);
}

macro_rules! signature {
    ($($part:ident)*) => {
        impl<H, F, G, $($part),*> Signature<($($part,)*)> for H
        where
            H: Fn($($part),*) -> F,
            F: Future<Output = G>,
            G: Gives,
            $($part: Takes),*
        {
            #[allow(unused_variables, reason = "a handler without arguments takes nothing")]
            fn describe(draft: &mut Draft) {
                $($part::takes(draft);)*
                G::gives(draft);
            }
        }
    };
}

signature!();
signature!(A);
signature!(A B);
signature!(A B C);
signature!(A B C D);
signature!(A B C D E);
signature!(A B C D E X);

impl Takes for State<Server> {
    fn takes(_: &mut Draft) {}
}

/// Whatever it looks for in there is said in the list of operations.
impl Takes for Request {
    fn takes(_: &mut Draft) {}
}

/// Whatever it looks for in there is said in the list of operations.
impl Takes for HeaderMap {
    fn takes(_: &mut Draft) {}
}

impl Takes for Caller {
    fn takes(draft: &mut Draft) {
        let signed_in = SecurityRequirement::new::<_, [&str; 0], _>(BEARER, []);
        draft.operation.security = Some(vec![signed_in]);
        draft.refuses(&[401]);
    }
}

impl Takes for AtHome {
    fn takes(draft: &mut Draft) {
        Caller::takes(draft);
        draft.refuses(&[403]);
    }
}

impl Takes for Listener {
    fn takes(draft: &mut Draft) {
        Caller::takes(draft);
    }
}

/// A proxy's header is between the server and the proxy.
impl Takes for ClientAddress {
    fn takes(_: &mut Draft) {}
}

impl<T: ToSchema> Takes for Body<T> {
    fn takes(draft: &mut Draft) {
        draft.body::<T>("application/json", Required::True);
    }
}

impl<T: ToSchema> Takes for OptionalBody<T> {
    fn takes(draft: &mut Draft) {
        draft.body::<T>("application/json", Required::False);
    }
}

impl<T: IntoParams + ToSchema> Takes for Asked<T> {
    fn takes(draft: &mut Draft) {
        let mut shapes = Vec::new();
        T::schemas(&mut shapes);
        draft.schemas.extend(shapes);
        let asked = T::into_params(|| Some(ParameterIn::Query));
        let parameters = draft.operation.parameters.get_or_insert_default();
        parameters.extend(asked.into_iter().map(Into::into));
    }
}

impl Takes for Context {
    fn takes(draft: &mut Draft) {
        let key = draft.schema::<lockstep_wire::IdempotencyKey>();
        draft.header(
            at::IDEMPOTENCY_KEY,
            "Which write this is, however often it is sent.",
            key,
        );
        let generation = draft.schema::<Generation>();
        draft.header(
            at::LOCK_GENERATION,
            "Of the lock the write was made under.",
            generation,
        );
        let client = draft.schema::<lockstep_wire::ClientId>();
        draft.header(at::CLIENT_ID, "Which window writes.", client);
    }
}

impl Takes for LastHeard {
    fn takes(draft: &mut Draft) {
        let cursor = draft.schema::<Cursor>();
        draft.header("last-event-id", "Of the last event that was heard.", cursor);
    }
}

/// The placeholders of a route, in order.
pub(super) trait Places {
    fn schemas(draft: &mut Draft) -> Vec<RefOr<Schema>>;
}

macro_rules! one_place {
    ($($id:ty),*) => {
        $(impl Places for $id {
            fn schemas(draft: &mut Draft) -> Vec<RefOr<Schema>> {
                vec![draft.schema::<$id>()]
            }
        })*
    };
}

one_place!(ProjectId, AnnotationId, TokenId);

impl<A: ToSchema, B: ToSchema> Places for (A, B) {
    fn schemas(draft: &mut Draft) -> Vec<RefOr<Schema>> {
        vec![draft.schema::<A>(), draft.schema::<B>()]
    }
}

impl<T: Places> Takes for At<T> {
    fn takes(draft: &mut Draft) {
        let names = draft
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let schemas = T::schemas(draft);
        let places = names.zip(schemas).map(|(name, schema)| {
            let place = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(schema));
            place.build().into()
        });
        draft.operation.parameters.get_or_insert_default().extend(places);
    }
}

impl<T: Gives> Gives for Answered<T> {
    fn gives(draft: &mut Draft) {
        T::gives(draft);
    }
}

impl<T: ToSchema> Gives for Json<T> {
    fn gives(draft: &mut Draft) {
        draft.gives_json::<T>(200);
    }
}

impl<T: ToSchema> Gives for Created<T> {
    fn gives(draft: &mut Draft) {
        draft.gives_json::<T>(201);
    }
}

impl Gives for NoContent {
    fn gives(draft: &mut Draft) {
        draft.answer(204, DocumentedResponse::new("Done."));
    }
}

impl Gives for () {
    fn gives(draft: &mut Draft) {
        draft.answer(200, DocumentedResponse::new("Yes."));
    }
}

/// Whatever is in it is said in the list of operations.
impl Gives for Response {
    fn gives(_: &mut Draft) {}
}
