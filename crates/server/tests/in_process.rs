//! The protocol without a network is the same protocol.

#[macro_use]
mod world;

use futures::StreamExt as _;
use lockstep_server::Settings;
use lockstep_server::service::InProcess;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, AnnotationFields, Api, ApiError, CreateAnnotation, Geometry, LoginRequest,
    Refusal, SaveContext, ServerEvent, UpdateAnnotation, Version,
};
use world::{Engine, IMAGE, PROJECT, World};

on_every_engine![two_clients_in_the_servers_process_are_told_what_two_over_http_are,];

async fn sign_in(world: &World, name: &str) -> InProcess {
    let caller = world.server.service().caller();
    assert!(matches!(refusal(caller.me().await), Refusal::Unauthorized));
    let login = LoginRequest {
        email: format!("{name}@example.org"),
        password: "correct horse".into(),
    };
    assert_eq!(caller.login(login).await.expect("signed in").name, name);
    caller
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, ApiError>) -> Refusal {
    match answer {
        Err(ApiError::Refused(detail)) => detail.refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn acquire() -> AcquireRequest {
    AcquireRequest {
        project_id: PROJECT.into(),
        image_id: IMAGE.into(),
        client_id: None,
        device: None,
        take_over: false,
        include: Vec::new(),
    }
}

async fn two_clients_in_the_servers_process_are_told_what_two_over_http_are(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (sign_in(&world, "ann").await, sign_in(&world, "ben").await);
    let mut heard = ben.events(&PROJECT.into()).await.expect("a stream");
    assert!(matches!(heard.next().await, Some(ServerEvent::Changes { .. })));

    assert!(matches!(
        ann.acquire(acquire()).await,
        Ok(AcquireAnswer::Acquired(_))
    ));
    assert!(matches!(
        ben.acquire(acquire()).await,
        Ok(AcquireAnswer::AlreadyLocked { .. })
    ));
    assert!(
        matches!(heard.next().await, Some(ServerEvent::LockAcquired { lock }) if lock.user_name == "ann")
    );

    let fields = |x| AnnotationFields {
        label_id: None,
        geometry: Geometry::bbox(x, 0.0, 1.0, 1.0),
        attributes: serde_json::Map::default(),
    };
    let request = CreateAnnotation {
        id: None,
        project_id: PROJECT.into(),
        image_id: IMAGE.into(),
        fields: fields(1.0),
    };
    let drawn = ann
        .create(request, SaveContext::default())
        .await
        .expect("saved")
        .annotation;
    let update = UpdateAnnotation::whole(Version::FIRST, fields(2.0));
    let refused = ben
        .update(&drawn.id, update.clone(), SaveContext::default())
        .await;
    assert!(matches!(refusal(refused), Refusal::ImageLocked { .. }));
    let saved = ann
        .update(&drawn.id, update.clone(), SaveContext::default())
        .await
        .expect("saved");
    assert_eq!(saved.annotation.version, Version(2));
    let refused = ann.update(&drawn.id, update, SaveContext::default()).await;
    assert!(matches!(
        refusal(refused),
        Refusal::Conflict {
            current_version: Version(2),
            ..
        }
    ));

    // And what one does in the process, the other sees over HTTP.
    let vera = world.sign_in("vera").await;
    assert_eq!(vera.annotations(IMAGE).await[0]["version"], 2);
    assert_eq!(vera.locks().await.len(), 1);
}
