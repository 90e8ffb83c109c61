//! The store's contract, written once as tests; every database calls [`run`] on itself.
//!
//! Rules are stand-ins that say what to do, so that only the store's own work is tested: that a scene tells the truth,
//! and that a decision is carried out whole.

use std::time::Duration;

use chrono::Duration as Span;
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, Change, ClientId, Cursor, Generation, Geometry,
    IdempotencyKey, Image, ImageAnnotations, ImageId, Label, Lock, ProjectId, Refusal, Role, TokenScope,
    User, UserId, Version,
};

use super::{
    Added, AddedImage, AnnotationsRead, Authorise, Credential, Deletion, Ended, ImageKey, Kept, LockDecision,
    LockOutcome, LockQuestion, LockRule, LockScene, NewApiToken, NewImage, NewProject, NewUser, Party,
    Permitted, Presence, RoleChange, RoleOutcome, Save, SaveDecision, SaveOutcome, SaveQuestion, SaveScene,
    SessionId, Store, TokenHash, WriteDone,
};

const LEASE: Span = Span::minutes(5);

/// Everything a store must do. It must be empty.
pub(super) async fn run(store: &dyn Store) {
    accounts_are_found_by_their_email_however_it_is_written(store).await;
    a_refresh_token_is_honoured_once_more_while_its_successor_is_unused(store).await;
    a_refresh_token_is_not_honoured_once_its_successor_was_used(store).await;
    a_refresh_token_used_a_third_time_revokes_its_family(store).await;
    two_who_go_on_from_one_refresh_token_end_its_family(store).await;
    a_session_ends_by_a_sign_out_and_by_time(store).await;
    a_sign_out_everywhere_ends_every_session_of_that_user_alone(store).await;
    another_password_ends_the_other_sessions(store).await;
    a_scripts_token_is_good_until_it_lapses_or_is_deleted(store).await;
    a_stranger_has_no_role_and_a_member_the_one_he_was_given(store).await;
    images_come_in_pages_and_a_deleted_one_never_ends_the_list_early(store).await;
    a_picture_that_is_there_is_found_by_its_content_where_that_is_asked(store).await;
    a_stranger_reads_nothing_and_writes_only_what_the_rule_allows(store).await;
    annotations_are_read_with_the_revision_they_are_of(store).await;
    a_scene_tells_who_holds_an_image_and_generations_only_grow(store).await;
    a_lapsed_lock_is_ended_by_the_next_look_at_any_lock(store).await;
    whoever_may_no_longer_annotate_loses_his_locks(store).await;
    a_save_leaves_a_version_a_history_a_change_and_a_remembered_key(store).await;
    a_refused_save_leaves_nothing(store).await;
    a_regranted_lock_is_the_same_partys_under_a_new_generation(store).await;
    the_feed_shows_each_thing_once_at_its_newest_and_skips_none(store).await;
    what_nobody_will_ask_for_again_is_forgotten_and_nothing_else(store).await;
    news_is_what_watchers_do_not_know(store).await;
}

/// What only a hand on the database can bring about, in SQL that all of them understand; `now` is their clock in it.
/// Nothing has lapsed before.
pub(super) async fn run_by_hand(store: &dyn Store, now: &str, hand: impl AsyncFn(String)) {
    an_outage_is_made_up_to_whoever_held_a_lock(store, now, &hand).await;
    a_lock_granted_after_a_long_quiet_time_is_not_lengthened_by_it(store, &hand).await;
    l4_a_generation_is_above_the_floor_and_above_all_earlier_ones(store, &hand).await;
    e34_a_thousand_locks_that_lapse_at_once_hold_nobody_up(store, &hand).await;
}

async fn an_outage_is_made_up_to_whoever_held_a_lock(
    store: &dyn Store,
    now: &str,
    hand: &impl AsyncFn(String),
) {
    let (ann, _) = project(store, "outage").await;
    let lock = async |expires: &str, alive: &str| {
        hand(format!(
            "DELETE FROM image_locks;
             INSERT INTO image_locks (project_id, image_id, user_id, locked_at, expires_at, heartbeat_at, generation)
             VALUES ('outage', 'i', {}, 0, {now} + {expires}, 0, 1);
             UPDATE server SET alive_at = {now} + {alive}",
            ann.id
        ))
        .await;
        store.settle_locks().await.expect("a sweep").len()
    };
    assert_eq!(
        lock("-180000", "-240000").await,
        0,
        "four minutes away with a minute of the lease left: it still is"
    );
    assert_eq!(
        lock("-5000", "-10000").await,
        1,
        "ten seconds are no outage: it is over"
    );
    assert_eq!(
        lock("-250000", "-240000").await,
        1,
        "it had lapsed before the server went away"
    );
}

async fn a_lock_granted_after_a_long_quiet_time_is_not_lengthened_by_it(
    store: &dyn Store,
    hand: &impl AsyncFn(String),
) {
    let (ann, key) = project(store, "quiet").await;
    hand("DELETE FROM image_locks; UPDATE server SET alive_at = alive_at - 3600000".into()).await;
    store.settle_locks().await.expect("a sweep");
    let granted = grant(store, &key, &ann).await;
    store.settle_locks().await.expect("a sweep");
    let (locks, _) = store.locks(&key.project, ann.id).await.expect("a list");
    assert_eq!(locks, Some(vec![granted]));
}

async fn l4_a_generation_is_above_the_floor_and_above_all_earlier_ones(
    store: &dyn Store,
    hand: &impl AsyncFn(String),
) {
    let (ann, key) = project(store, "floor").await;
    for (floor, expected) in [(0, 1), (1000, 1001), (1000, 1002), (7, 1003)] {
        hand(format!("UPDATE server SET generation_floor = {floor}")).await;
        assert_eq!(grant(store, &key, &ann).await.generation, Generation(expected));
    }
}

async fn e34_a_thousand_locks_that_lapse_at_once_hold_nobody_up(
    store: &dyn Store,
    hand: &impl AsyncFn(String),
) {
    let (ann, key) = project(store, "thousand").await;
    hand(format!(
        "DELETE FROM image_locks;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO image_locks (project_id, image_id, user_id, locked_at, expires_at, heartbeat_at, generation)
         SELECT 'thousand', CASE i WHEN 1000 THEN 'i' ELSE 'lapsed ' || i END, {}, 0, i, 0, 1 FROM n",
        ann.id
    ))
    .await;
    // The last to lapse is free at once, though its turn in the clean-up has not come.
    assert_eq!(grant(store, &key, &ann).await.image_id, key.image);
    let mut sweeps = 0;
    loop {
        let ended = store.settle_locks().await.expect("a sweep").len();
        assert!(ended <= 200, "{ended} at once");
        if ended == 0 {
            break;
        }
        sweeps += 1;
    }
    assert_eq!(sweeps, 4, "the rest of a thousand, two hundred at a time");
    let (left, _) = store.locks(&key.project, ann.id).await.expect("a list");
    assert_eq!(left.expect("for a member").len(), 1);
}

async fn user(store: &dyn Store, name: &str) -> User {
    let user = NewUser {
        email: format!("{name}@example.org"),
        name: name.into(),
        password_hash: "hash".into(),
        admin: false,
    };
    match store.add_user(user).await.expect("an account") {
        Added::New(user) => user,
        Added::Taken => {
            store
                .account(&format!("{name}@example.org"))
                .await
                .expect("a look")
                .expect("an account")
                .user
        }
    }
}

/// A project of Ann's with an image in it.
pub(super) async fn project(store: &dyn Store, id: &str) -> (User, ImageKey) {
    let ann = user(store, "ann").await;
    let project = NewProject {
        id: id.into(),
        name: id.into(),
        owner: ann.id,
        annotators_edit_all: false,
    };
    assert!(matches!(
        store.add_project(project).await.expect("a project"),
        Added::New(_)
    ));
    let key = image(store, id, "i", ann.id).await;
    (ann, key)
}

async fn image(store: &dyn Store, project: &str, id: &str, added_by: UserId) -> ImageKey {
    let new = new_image(project, id, added_by);
    let key = new.key.clone();
    let added = store.add_image(new, anyone).await.expect("an outcome");
    assert!(matches!(added, Ok(AddedImage::New(_))));
    key
}

fn new_image(project: &str, id: &str, added_by: UserId) -> NewImage {
    NewImage {
        key: ImageKey {
            project: project.into(),
            image: id.into(),
        },
        file_name: format!("{id}.png"),
        width: 3,
        height: 2,
        media_type: "image/png".into(),
        content_hash: "00".into(),
        added_by,
        unless_present: false,
    }
}

async fn accounts_are_found_by_their_email_however_it_is_written(store: &dyn Store) {
    let ann = user(store, "ann").await;
    let found = store
        .account("ANN@Example.org")
        .await
        .expect("a look")
        .expect("an account");
    assert_eq!(found.user, ann);
    assert_eq!(store.user(ann.id).await.expect("a look"), Some(ann));
    let again = NewUser {
        email: "Ann@example.org".into(),
        name: "x".into(),
        password_hash: "x".into(),
        admin: false,
    };
    assert_eq!(store.add_user(again).await.expect("an answer"), Added::Taken);
    assert!(
        store
            .account("nobody@example.org")
            .await
            .expect("a look")
            .is_none()
    );
}

const DAY: Duration = Duration::from_secs(86_400);

/// Hashes that nothing else here uses: `story` keeps those of different tests apart.
fn tokens(story: u8) -> impl Fn(u8) -> TokenHash {
    move |number| [story, number].repeat(16).try_into().expect("32 bytes")
}

/// Signs someone in and tries exchanges, each of which may succeed.
async fn exchanges(store: &dyn Store, story: u8, pairs: &[(u8, u8, bool, &str)]) -> SessionId {
    let ann = user(store, "ann").await;
    let token = tokens(story);
    let session = store
        .begin_session(ann.id, token(1), DAY)
        .await
        .expect("a session");
    for (from, to, honoured, why) in pairs {
        let answer = store
            .continue_session(token(*from), token(*to), DAY)
            .await
            .expect("an answer");
        assert_eq!(answer, honoured.then(|| (session, ann.clone())), "{why}");
    }
    session
}

async fn a_refresh_token_is_honoured_once_more_while_its_successor_is_unused(store: &dyn Store) {
    let pairs = [
        (1, 2, true, "the first time"),
        (1, 3, true, "the answer may have been lost"),
        (3, 4, true, "the session goes on from the answer that came"),
        (4, 5, true, "and on"),
    ];
    let live = exchanges(store, 1, &pairs).await;
    let ended = store.ended_credentials(DAY).await.expect("a list");
    assert!(!ended.contains(&Credential::Session(live)));
}

async fn a_refresh_token_is_not_honoured_once_its_successor_was_used(store: &dyn Store) {
    let pairs = [
        (1, 2, true, "the first time"),
        (2, 3, true, "the answer came"),
        (
            1,
            4,
            false,
            "within a minute, but the answer was not lost: it was stolen",
        ),
        (3, 5, false, "its family is revoked"),
    ];
    let ended = exchanges(store, 2, &pairs).await;
    let list = store.ended_credentials(DAY).await.expect("a list");
    assert!(list.contains(&Credential::Session(ended)));
}

async fn a_refresh_token_used_a_third_time_revokes_its_family(store: &dyn Store) {
    let pairs = [
        (1, 2, true, "the first time"),
        (1, 3, true, "once more"),
        (1, 4, false, "a third time it is someone else's"),
        (2, 5, false, "and nobody goes on"),
        (3, 6, false, "from neither answer"),
        (9, 7, false, "nor by a token never given"),
    ];
    exchanges(store, 3, &pairs).await;
}

async fn two_who_go_on_from_one_refresh_token_end_its_family(store: &dyn Store) {
    let pairs = [
        (1, 2, true, "the first time"),
        (1, 3, true, "once more"),
        (2, 4, true, "the first answer came late, but came"),
        (3, 5, false, "and someone else had the second"),
        (4, 6, false, "nobody goes on"),
    ];
    exchanges(store, 4, &pairs).await;
}

async fn a_session_ends_by_a_sign_out_and_by_time(store: &dyn Store) {
    let ann = user(store, "ann").await;
    let token = tokens(5);
    let begin = async |number, lifetime| {
        store
            .begin_session(ann.id, token(number), lifetime)
            .await
            .expect("a session")
    };
    let session = begin(1, DAY).await;
    let proceed = async |from, to| {
        let answer = store.continue_session(token(from), token(to), DAY).await;
        answer.expect("an answer").is_some()
    };
    assert!(proceed(1, 2).await);
    assert_eq!(
        store.end_session(token(2), false).await.expect("a sign-out"),
        [session]
    );
    assert!(!proceed(2, 3).await);
    assert_eq!(store.end_session(token(2), false).await.expect("an answer"), []);
    let ended = store.ended_credentials(DAY).await.expect("a list");
    assert!(ended.contains(&Credential::Session(session)));
    begin(11, Duration::ZERO).await;
    assert!(!proceed(11, 12).await, "it has lapsed");
}

async fn a_sign_out_everywhere_ends_every_session_of_that_user_alone(store: &dyn Store) {
    let (eve, ben) = (user(store, "eve").await, user(store, "ben").await);
    let token = tokens(6);
    let begin = async |user: &User, number| {
        store
            .begin_session(user.id, token(number), DAY)
            .await
            .expect("a session")
    };
    let eves = [begin(&eve, 1).await, begin(&eve, 2).await, begin(&eve, 3).await];
    begin(&ben, 4).await;
    let mut ended = store.end_session(token(2), true).await.expect("a sign-out");
    ended.sort_by_key(|session| session.0);
    assert_eq!(ended, eves);
    let proceed = async |from, to| {
        let answer = store.continue_session(token(from), token(to), DAY).await;
        answer.expect("an answer").is_some()
    };
    for number in 1..=3 {
        assert!(!proceed(number, number + 10).await);
    }
    assert!(proceed(4, 14).await, "Ben is signed in");
}

async fn another_password_ends_the_other_sessions(store: &dyn Store) {
    let fay = user(store, "fay").await;
    let token = tokens(7);
    let begin = async |number| {
        store
            .begin_session(fay.id, token(number), DAY)
            .await
            .expect("a session")
    };
    let (here, there) = (begin(1).await, begin(2).await);
    let ended = store.set_password(fay.id, "new".into(), Some(here)).await;
    assert_eq!(ended.expect("a change"), [there]);
    let hash = async || {
        let account = store.account(&fay.email).await.expect("a look");
        account.expect("an account").password_hash
    };
    assert_eq!(hash().await, "new");
    let answer = store.continue_session(token(1), token(3), DAY).await;
    assert!(answer.expect("an answer").is_some(), "who changed it stays");
    let ended = store.set_password(fay.id, "newer".into(), None).await;
    assert_eq!(ended.expect("a change"), [here], "nobody stays");

    let rehash = async |before: &str, after: &str| {
        let done = store.rehash_password(fay.id, before.into(), after.into()).await;
        done.expect("an answer");
    };
    rehash("new", "of the old one").await;
    assert_eq!(hash().await, "newer", "it was changed meanwhile");
    rehash("newer", "better").await;
    assert_eq!(hash().await, "better");
}

async fn a_scripts_token_is_good_until_it_lapses_or_is_deleted(store: &dyn Store) {
    let (gil, ben) = (user(store, "gil").await, user(store, "ben").await);
    let hash = tokens(8);
    let make = async |number, scope, lifetime| {
        let token = NewApiToken {
            user: gil.id,
            hash: hash(number),
            name: format!("script {number}"),
            scope,
            lifetime,
        };
        store.add_api_token(token).await.expect("a token")
    };
    let reader = make(1, TokenScope::ReadOnly, None).await;
    let writer = make(2, TokenScope::ReadWrite, Some(DAY)).await;
    let lapsed = make(3, TokenScope::ReadWrite, Some(Duration::ZERO)).await;
    assert_eq!((reader.expires_at, reader.last_used_at), (None, None));
    assert_eq!(writer.expires_at, Some(writer.created_at + DAY));
    assert_eq!(
        store.api_tokens(gil.id).await.expect("a list"),
        [reader.clone(), writer.clone(), lapsed]
    );
    assert_eq!(store.api_tokens(ben.id).await.expect("a list"), []);

    let good = async |number| store.use_api_token(hash(number)).await.expect("a look");
    let found = good(1).await.expect("it is good");
    assert_eq!(
        (found.id, found.user, found.scope, found.expires_in),
        (reader.id, gil.id, TokenScope::ReadOnly, None)
    );
    let found = good(2).await.expect("it is good");
    assert!(found.expires_in.is_some_and(|left| left <= DAY));
    assert_eq!(good(3).await, None, "it has lapsed");
    assert_eq!(good(9).await, None, "nobody made it");
    let used = async || store.api_tokens(gil.id).await.expect("a list")[0].last_used_at;
    let first = used().await.expect("it was used");
    good(1).await.expect("it is good");
    assert_eq!(used().await, Some(first), "to the minute is enough");

    let delete = async |who: &User| {
        let deleted = store.delete_api_token(who.id, reader.id).await;
        deleted.expect("an answer")
    };
    assert!(!delete(&ben).await, "it is not his");
    assert!(delete(&gil).await);
    assert!(!delete(&gil).await);
    assert_eq!(good(1).await, None);
    assert_eq!(store.api_tokens(gil.id).await.expect("a list").len(), 2);
    let ended = store.ended_credentials(DAY).await.expect("a list");
    assert!(ended.contains(&Credential::ApiToken(reader.id)));
    assert!(!ended.contains(&Credential::ApiToken(writer.id)));
}

async fn a_stranger_has_no_role_and_a_member_the_one_he_was_given(store: &dyn Store) {
    let (ann, _) = project(store, "roles").await;
    let ben = user(store, "ben").await;
    let id = ProjectId::from("roles");
    assert_eq!(store.role(&id, ann.id).await.expect("a look"), Some(Role::Owner));
    assert_eq!(store.role(&id, ben.id).await.expect("a look"), None);
    assert!(set_role(store, &id, ben.id, Some(Role::Viewer)).await.0);
    assert_eq!(store.role(&id, ben.id).await.expect("a look"), Some(Role::Viewer));
    assert_eq!(store.owner(&id).await.expect("a look"), Some(ann));
    assert_eq!(store.owner(&"nowhere".into()).await.expect("a look"), None);
    let members = store.members(&id, ben.id).await.expect("a list");
    assert_eq!(members.expect("for a member").len(), 2);
    assert!(set_role(store, &id, ben.id, None).await.0);
    assert!(!set_role(store, &id, ben.id, None).await.0);
    assert!(
        !set_role(store, &"nowhere".into(), ben.id, Some(Role::Viewer))
            .await
            .0
    );
}

async fn images_come_in_pages_and_a_deleted_one_never_ends_the_list_early(store: &dyn Store) {
    let (ann, _) = project(store, "pages").await;
    for id in ["a", "b", "c", "d"] {
        image(store, "pages", id, ann.id).await;
    }
    let id = ProjectId::from("pages");
    let page = async |after: Option<&str>| {
        let page = store.images(&id, ann.id, after, 2).await.expect("a page");
        let page = page.expect("for a member");
        let ids: String = page.images.iter().map(|image| image.id.as_str()).collect();
        (ids, page.next)
    };
    assert_eq!(page(None).await, ("ab".into(), Some("b".into())));
    let b = ImageKey {
        project: id.clone(),
        image: "b".into(),
    };
    for before in [Presence::Live, Presence::Deleted] {
        assert_eq!(delete(store, &b, &ann).await.before, before);
    }
    let (presence, _) = store
        .image(&b, ann.id)
        .await
        .expect("a look")
        .expect("for a member");
    assert_eq!(presence, Presence::Deleted);
    assert_eq!(page(Some("b")).await, ("cd".into(), Some("d".into())));
    assert_eq!(page(Some("d")).await, ("i".into(), None));
}

async fn a_picture_that_is_there_is_found_by_its_content_where_that_is_asked(store: &dyn Store) {
    let (ann, _) = project(store, "content").await;
    let add = async |id: &str, content: &str, unless_present| {
        let new = NewImage {
            content_hash: content.into(),
            unless_present,
            ..new_image("content", id, ann.id)
        };
        let added = store.add_image(new, anyone).await.expect("an outcome");
        added.expect("anyone may")
    };
    let AddedImage::New(first) = add("first", "aa", true).await else {
        panic!("it is new")
    };
    assert_eq!(
        add("second", "aa", true).await,
        AddedImage::Present(first.clone())
    );
    let of_content = async |content: &str| {
        let found = store.image_of_content(&"content".into(), content).await;
        found.expect("a look")
    };
    assert_eq!(of_content("aa").await, Some(first.clone()));
    assert_eq!(of_content("bb").await, None);
    assert_eq!(add("first", "bb", true).await, AddedImage::Taken);
    let key = ImageKey {
        project: "content".into(),
        image: first.id,
    };
    delete(store, &key, &ann).await;
    assert_eq!(of_content("aa").await, None);
    assert!(
        matches!(add("third", "aa", true).await, AddedImage::New(_)),
        "the one that was deleted does not count"
    );
    assert!(
        matches!(add("fourth", "aa", false).await, AddedImage::New(_)),
        "nobody asked"
    );
    assert_eq!(
        add("first", "aa", false).await,
        AddedImage::Taken,
        "an id is never used again"
    );
}

fn anyone(_: Option<Role>) -> Permitted<()> {
    Ok(())
}

async fn delete(store: &dyn Store, key: &ImageKey, by: &User) -> Deletion {
    let deletion = store.delete_image(key, by.id, anyone).await.expect("an outcome");
    deletion.expect("anyone may")
}

async fn a_stranger_reads_nothing_and_writes_only_what_the_rule_allows(store: &dyn Store) {
    let (ann, key) = project(store, "private").await;
    let me = party(&ann, None);
    save(
        store,
        question(&key, &me, "private-a"),
        write_next(key.clone(), "private-a", 1.0, false, None),
    )
    .await;
    let ben = user(store, "ben").await;
    // Whoever may read finds something there.
    let reads = async |reader: UserId| {
        [
            store
                .members(&key.project, reader)
                .await
                .expect("a look")
                .is_some(),
            store
                .labels(&key.project, reader)
                .await
                .expect("a look")
                .is_some(),
            store
                .images(&key.project, reader, None, 1)
                .await
                .expect("a look")
                .is_some(),
            store.image(&key, reader).await.expect("a look").is_some(),
            store
                .annotations(&key, reader, None)
                .await
                .expect("a look")
                .is_some(),
            store
                .annotations(&key, reader, Some(0))
                .await
                .expect("a look")
                .is_some(),
            store
                .history(&"private-a".into(), reader)
                .await
                .expect("a look")
                .is_some(),
            store
                .locks(&key.project, reader)
                .await
                .expect("a look")
                .0
                .is_some(),
            store
                .changes(&key.project, reader, Cursor(0), 1)
                .await
                .expect("a look")
                .is_some(),
        ]
    };
    assert_eq!(reads(ann.id).await, [true; 9]);
    assert_eq!(reads(ben.id).await, [false; 9]);

    let members_alone: Authorise = |role| match role {
        Some(_) => Ok(()),
        None => Err(Refusal::NotFound.because("no")),
    };
    let new = new_image("private", "another", ben.id);
    let added = store.add_image(new, members_alone).await.expect("an outcome");
    assert!(added.is_err());
    let deleted = store
        .delete_image(&key, ben.id, members_alone)
        .await
        .expect("an outcome");
    assert!(deleted.is_err());
    let page = store.images(&key.project, ann.id, None, 9).await.expect("a page");
    assert_eq!(page.expect("for a member").images.len(), 1);
}

async fn annotations_are_read_with_the_revision_they_are_of(store: &dyn Store) {
    let (ann, key) = project(store, "read").await;
    let me = party(&ann, None);
    let read = async |known| {
        let read = store.annotations(&key, ann.id, known).await.expect("a look");
        read.expect("for a member")
    };
    let rendered = async || match read(None).await {
        AnnotationsRead::Rendered(rendered) => rendered,
        other => panic!("not there: {other:?}"),
    };
    let empty = rendered().await;
    let mut expected = ImageAnnotations {
        annotations: Vec::new(),
        image_revision: live_image(store, &key, &ann).await.revision,
    };
    assert_eq!(empty.json, serde_json::to_vec(&expected).expect("JSON"));
    for (id, deleted) in [("read-b", false), ("read-a", false), ("read-gone", true)] {
        let (_, outcome) = save(
            store,
            question(&key, &me, id),
            write_next(key.clone(), id, 0.1, deleted, None),
        )
        .await;
        let (done, _) = done(outcome);
        expected.image_revision = done.image_revision;
        if !deleted {
            expected.annotations.push(done.annotation);
        }
    }
    expected
        .annotations
        .sort_by_key(|annotation| (annotation.created_at, annotation.id.clone()));
    let full = rendered().await;
    assert_eq!(full.image_revision, expected.image_revision);
    assert_eq!(full.json, serde_json::to_vec(&expected).expect("JSON"));
    assert_eq!(read(Some(full.image_revision)).await, AnnotationsRead::Unchanged);
    assert_eq!(
        read(Some(empty.image_revision)).await,
        AnnotationsRead::Rendered(full)
    );

    delete(store, &key, &ann).await;
    assert_eq!(read(None).await, AnnotationsRead::Missing(Presence::Deleted));
    let nowhere = ImageKey {
        image: "nowhere".into(),
        ..key.clone()
    };
    let read = store.annotations(&nowhere, ann.id, None).await.expect("a look");
    assert_eq!(read, Some(AnnotationsRead::Missing(Presence::Absent)));
}

/// As told, whoever asks.
async fn set_role(
    store: &dyn Store,
    project: &ProjectId,
    member: UserId,
    role: Option<Role>,
) -> (bool, Vec<Ended>) {
    let change = RoleChange {
        project: project.clone(),
        member,
        role,
        by: None,
    };
    match store
        .change_role(change, Box::new(|_| Ok(())))
        .await
        .expect("an outcome")
    {
        RoleOutcome::Changed(ended) => (true, ended),
        RoleOutcome::Unknown => (false, Vec::new()),
        RoleOutcome::Refused(refusal) => panic!("{refusal}"),
    }
}

fn party(user: &User, client: Option<&str>) -> Party {
    Party {
        user: user.id,
        client: client.map(ClientId::from),
    }
}

/// Decides as told, and gives the scene back.
async fn lock(
    store: &dyn Store,
    key: &ImageKey,
    party: &Party,
    generation: Option<Generation>,
    decide: impl Fn(&LockScene) -> LockDecision + Send + 'static,
) -> (LockScene, LockOutcome) {
    let (seen, scenes) = std::sync::mpsc::channel();
    let rule: LockRule = Box::new(move |scene| {
        seen.send(scene.clone()).expect("someone looks");
        decide(scene)
    });
    let question = LockQuestion {
        image: key.clone(),
        party: party.clone(),
        generation,
    };
    let outcome = store.update_lock(question, rule).await.expect("an outcome");
    (scenes.recv().expect("a scene"), outcome)
}

fn grant_for(lease: Span) -> impl Fn(&LockScene) -> LockDecision + Send + 'static {
    move |scene| LockDecision::Grant {
        expires_at: scene.now + lease,
        device: Some("desk".into()),
    }
}

/// Gives the image to someone for five minutes.
pub(super) async fn grant(store: &dyn Store, key: &ImageKey, user: &User) -> Lock {
    lock(store, key, &party(user, None), None, grant_for(LEASE))
        .await
        .1
        .lock
        .expect("a lock")
}

fn nothing(_: &LockScene) -> LockDecision {
    LockDecision::Nothing
}

async fn look(store: &dyn Store, key: &ImageKey, party: &Party, generation: Option<Generation>) -> LockScene {
    lock(store, key, party, generation, nothing).await.0
}

async fn a_scene_tells_who_holds_an_image_and_generations_only_grow(store: &dyn Store) {
    let (ann, key) = project(store, "locks").await;
    let (a, b) = (party(&ann, Some("a")), party(&ann, Some("b")));
    let (scene, first) = lock(store, &key, &a, None, grant_for(LEASE)).await;
    assert_eq!(
        (scene.role, scene.image, scene.newest),
        (Some(Role::Owner), Presence::Live, Generation(0))
    );
    assert_eq!((scene.live, scene.own_last, scene.hold), (None, None, None));
    let granted = first.lock.expect("a lock");
    assert_eq!(
        (granted.generation, granted.expires_at),
        (Generation(1), first.now + LEASE)
    );
    assert_eq!(
        (granted.device.as_deref(), granted.user_name.as_str()),
        (Some("desk"), "ann")
    );

    let (scene, second) = lock(store, &key, &b, None, grant_for(LEASE)).await;
    assert_eq!(scene.live, Some(granted));
    assert_eq!(
        second.lock.as_ref().map(|lock| lock.generation),
        Some(Generation(2))
    );
    let ended = &second.ended[0];
    assert_eq!(
        (ended.generation, ended.reason),
        (Generation(1), ReleaseReason::TakenOver)
    );

    let ending = look(store, &key, &a, None)
        .await
        .own_last
        .expect("a grant")
        .ended
        .expect("an end");
    assert_eq!(
        (ending.reason, ending.by.map(|by| by.user_id)),
        (ReleaseReason::TakenOver, Some(ann.id))
    );
    let scene = look(store, &key, &b, Some(Generation(1))).await;
    assert_eq!(scene.named.map(|named| named.generation), Some(Generation(1)));
    assert_eq!(scene.own_last.expect("a grant").ended, None);

    let hold = |scene: &LockScene| LockDecision::End {
        reason: ReleaseReason::Forced,
        hold_until: Some(scene.now + LEASE),
    };
    let (_, forced) = lock(store, &key, &b, None, hold).await;
    assert_eq!((forced.lock, forced.ended.len()), (None, 1));
    assert_eq!(
        look(store, &key, &a, None)
            .await
            .hold
            .map(|hold| hold.seen_as.user_id),
        Some(ann.id)
    );

    let (_, third) = lock(store, &key, &a, None, grant_for(LEASE)).await;
    assert_eq!(third.lock.map(|lock| lock.generation), Some(Generation(3)));
    assert_eq!(look(store, &key, &a, None).await.hold, None, "a grant ends it");

    // Deleting the image ends the lock, and a later grant would still be above all earlier ones.
    let ended = delete(store, &key, &ann).await.ended;
    assert_eq!(ended.map(|ended| ended.generation), Some(Generation(3)));
    assert_eq!(look(store, &key, &a, None).await.newest, Generation(3));
}

async fn a_lapsed_lock_is_ended_by_the_next_look_at_any_lock(store: &dyn Store) {
    let (ann, key) = project(store, "lapse").await;
    let other = image(store, "lapse", "other", ann.id).await;
    let me = party(&ann, None);
    lock(store, &key, &me, None, grant_for(Span::zero())).await;
    let (_, outcome) = lock(store, &other, &me, None, nothing).await;
    assert_eq!(outcome.ended.len(), 1);
    assert_eq!(
        (&outcome.ended[0].image, outcome.ended[0].reason),
        (&key.image, ReleaseReason::Expired)
    );
    let scene = look(store, &key, &me, None).await;
    let ending = scene.own_last.expect("a grant").ended.expect("an end");
    assert_eq!((scene.live, ending.reason), (None, ReleaseReason::Expired));
    assert!(store.settle_locks().await.expect("a sweep").is_empty());
}

async fn whoever_may_no_longer_annotate_loses_his_locks(store: &dyn Store) {
    let (ann, key) = project(store, "demoted").await;
    let ben = user(store, "ben").await;
    set_role(store, &key.project, ben.id, Some(Role::Annotator)).await;
    lock(store, &key, &party(&ben, None), None, grant_for(LEASE)).await;
    let held = async || {
        let (locks, _) = store.locks(&key.project, ann.id).await.expect("a list");
        locks.expect("for a member").len()
    };
    assert_eq!(held().await, 1);
    let (_, ended) = set_role(store, &key.project, ben.id, Some(Role::Viewer)).await;
    assert_eq!(ended.len(), 1);
    assert_eq!(held().await, 0);
}

fn fields(x: f64) -> AnnotationFields {
    AnnotationFields {
        label_id: None,
        geometry: Geometry::bbox(x, 0.0, 1.0, 1.0),
        attributes: serde_json::Map::default(),
    }
}

fn question(key: &ImageKey, party: &Party, id: &str) -> SaveQuestion {
    SaveQuestion {
        party: party.clone(),
        annotation: id.into(),
        create_on: Some(key.clone()),
        label: None,
        generation: None,
        key: None,
    }
}

/// Writes the version after the stored one.
fn write_next(
    key: ImageKey,
    id: &str,
    x: f64,
    deleted: bool,
    lease: Option<Span>,
) -> impl Fn(&SaveScene) -> SaveDecision + Send + 'static {
    let id = AnnotationId::from(id);
    move |scene| {
        let now = scene.lock.now;
        let before = scene.stored.as_ref().map(|stored| stored.annotation.clone());
        SaveDecision::Write {
            annotation: Box::new(Annotation {
                id: id.clone(),
                project_id: key.project.clone(),
                image_id: key.image.clone(),
                fields: fields(x),
                created_by: before.as_ref().map_or(UserId(1), |before| before.created_by),
                created_at: before.as_ref().map_or(now, |before| before.created_at),
                updated_by: UserId(1),
                updated_at: now,
                version: before.map_or(Version::FIRST, |before| before.version.next()),
            }),
            deleted,
            regrant: lease.map(|lease| now + lease),
        }
    }
}

async fn save(
    store: &dyn Store,
    question: SaveQuestion,
    decide: impl Fn(&SaveScene) -> SaveDecision + Send + 'static,
) -> (SaveScene, SaveOutcome) {
    let (seen, scenes) = std::sync::mpsc::channel();
    let rule = Box::new(move |scene: &SaveScene| {
        seen.send(scene.clone()).expect("someone looks");
        decide(scene)
    });
    let mut report = store.save(vec![Save { question, rule }]).await.expect("a report");
    (scenes.recv().expect("a scene"), report.outcomes.remove(0))
}

fn done(outcome: SaveOutcome) -> (WriteDone, Cursor) {
    match outcome {
        SaveOutcome::Applied { done, cursor } => (*done, cursor),
        other => panic!("not applied: {other:?}"),
    }
}

async fn live_image(store: &dyn Store, key: &ImageKey, reader: &User) -> Image {
    let found = store.image(key, reader.id).await.expect("a look");
    found.expect("for a member").1.expect("an image")
}

async fn a_save_leaves_a_version_a_history_a_change_and_a_remembered_key(store: &dyn Store) {
    let (ann, key) = project(store, "saves").await;
    let me = party(&ann, None);
    let keyed = || SaveQuestion {
        key: Some((IdempotencyKey::from("k"), vec![7])),
        ..question(&key, &me, "saves-a")
    };
    let before = live_image(store, &key, &ann).await;
    let (scene, outcome) = save(
        store,
        keyed(),
        write_next(key.clone(), "saves-a", 1.0, false, None),
    )
    .await;
    assert_eq!(
        (scene.role, scene.stored, scene.first, scene.applied),
        (Some(Role::Owner), None, None, None)
    );
    let (first, cursor) = done(outcome);
    let after = live_image(store, &key, &ann).await;
    assert!(after.revision > before.revision);
    assert_eq!(
        (after.revision, after.annotation_count),
        (first.image_revision, 1)
    );
    assert_eq!(store.newest_change(&key.project).await.expect("a look"), cursor);

    let (scene, outcome) = save(
        store,
        question(&key, &me, "saves-a"),
        write_next(key.clone(), "saves-a", 2.0, false, None),
    )
    .await;
    assert_eq!(
        scene.stored.map(|stored| stored.annotation),
        Some(first.annotation.clone())
    );
    assert_eq!(scene.first, Some(fields(1.0)));
    assert_eq!(done(outcome).0.annotation.version, Version(2));

    let (scene, _) = save(store, keyed(), |scene| {
        let applied = scene.applied.clone().expect("the key is known");
        SaveDecision::Replay {
            done: Box::new(applied.done),
            newest: applied.newest,
        }
    })
    .await;
    let applied = scene.applied.expect("the key is known");
    assert_eq!(
        (applied.fingerprint, applied.newest, applied.done),
        (vec![7], Version(2), first)
    );

    let (_, outcome) = save(
        store,
        question(&key, &me, "saves-a"),
        write_next(key.clone(), "saves-a", 2.0, true, None),
    )
    .await;
    assert!(done(outcome).0.deleted);
    assert_eq!(live_image(store, &key, &ann).await.annotation_count, 0);
    let versions = store
        .history(&"saves-a".into(), ann.id)
        .await
        .expect("a look")
        .expect("a history");
    let told: Vec<_> = versions
        .iter()
        .map(|one| (one.version.0, one.fields.clone(), one.deleted))
        .collect();
    assert_eq!(
        told,
        [
            (1, fields(1.0), false),
            (2, fields(2.0), false),
            (3, fields(2.0), true)
        ]
    );
}

async fn a_refused_save_leaves_nothing(store: &dyn Store) {
    let (ann, key) = project(store, "refused").await;
    let before = store.newest_change(&key.project).await.expect("a look");
    let asked = SaveQuestion {
        key: Some((IdempotencyKey::from("refused-k"), vec![1])),
        label: Some("no such label".into()),
        ..question(&key, &party(&ann, None), "refused-a")
    };
    let (scene, outcome) = save(store, asked.clone(), |_| {
        SaveDecision::Refuse(Refusal::Invalid.because("no"))
    })
    .await;
    assert!(!scene.label_known);
    assert!(matches!(outcome, SaveOutcome::Refused(_)));
    assert_eq!(store.newest_change(&key.project).await.expect("a look"), before);
    assert!(
        store
            .history(&"refused-a".into(), ann.id)
            .await
            .expect("a look")
            .is_none()
    );
    let (scene, _) = save(store, asked, |_| {
        SaveDecision::Refuse(Refusal::Invalid.because("no"))
    })
    .await;
    assert_eq!(scene.applied, None, "a refused key has done nothing");
}

async fn a_regranted_lock_is_the_same_partys_under_a_new_generation(store: &dyn Store) {
    let (ann, key) = project(store, "regrant").await;
    let me = party(&ann, Some("a"));
    lock(store, &key, &me, None, grant_for(Span::zero())).await;
    let asked = || SaveQuestion {
        generation: Some(Generation(1)),
        ..question(&key, &me, "regrant-a")
    };
    let write = || Box::new(write_next(key.clone(), "regrant-a", 1.0, false, None));
    let regrant = Box::new(write_next(key.clone(), "regrant-a", 1.0, false, Some(LEASE)));
    let (seen, scenes) = std::sync::mpsc::channel();
    let look_and_write = {
        let write = write();
        Box::new(move |scene: &SaveScene| {
            seen.send(scene.lock.clone()).expect("someone looks");
            write(scene)
        })
    };
    let batch = vec![
        Save {
            question: asked(),
            rule: regrant,
        },
        Save {
            question: asked(),
            rule: look_and_write,
        },
    ];
    let report = store.save(batch).await.expect("a report");
    let granted: Lock = done(report.outcomes[0].clone()).0.lock.expect("a lock");
    assert_eq!(
        (granted.generation, granted.client_id),
        (Generation(2), me.client.clone())
    );
    let second = scenes.recv().expect("a scene");
    assert_eq!(
        second.named.map(|named| named.generation),
        Some(Generation(2)),
        "the batch goes on under it"
    );
}

async fn the_feed_shows_each_thing_once_at_its_newest_and_skips_none(store: &dyn Store) {
    let (ann, key) = project(store, "feed").await;
    let me = party(&ann, None);
    for (id, x) in [("feed-a", 1.0), ("feed-b", 2.0), ("feed-a", 3.0)] {
        save(
            store,
            question(&key, &me, id),
            write_next(key.clone(), id, x, false, None),
        )
        .await;
    }
    save(
        store,
        question(&key, &me, "feed-b"),
        write_next(key.clone(), "feed-b", 2.0, true, None),
    )
    .await;
    let label = Label {
        id: "cat".into(),
        name: "Cat".into(),
        color: "#0072b2".into(),
        hotkey: None,
        more: serde_json::Map::default(),
    };
    store
        .update_label(&key.project, &label.id, ann.id, {
            let label = label.clone();
            Box::new(move |_| Ok(Some(label.clone())))
        })
        .await
        .expect("an outcome")
        .expect("a label");

    let mut told = Vec::new();
    let mut since = Cursor(0);
    loop {
        let page = store
            .changes(&key.project, ann.id, since, 1)
            .await
            .expect("a page");
        let page = page.expect("for a member");
        assert!(page.next >= since);
        since = page.next;
        told.extend(page.changes);
        if !page.has_more {
            break;
        }
    }
    let told: Vec<String> = told
        .into_iter()
        .map(|change| match change {
            Change::Member { role, .. } => format!("member {role:?}"),
            Change::Annotation { annotation, .. } => format!("{} {}", annotation.id, annotation.version),
            Change::AnnotationDeleted { id, version, .. } => format!("{id} deleted {version}"),
            Change::Image { image, .. } => format!("image {}", image.annotation_count),
            Change::Label { label, .. } => label.name,
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "member Some(Owner)",
            "feed-a 2",
            "feed-b deleted 2",
            "image 1",
            "Cat"
        ]
    );
    assert_eq!(since, store.newest_change(&key.project).await.expect("a look"));

    let deleted = store
        .update_label(&key.project, &label.id, ann.id, Box::new(|_| Ok(None)))
        .await
        .expect("an outcome");
    assert_eq!(deleted, Ok(None));
    delete(store, &key, &ann).await;
    let page = store
        .changes(&key.project, ann.id, since, 100)
        .await
        .expect("a page");
    let page = page.expect("for a member");
    let gone = [
        matches!(&page.changes[0], Change::LabelDeleted { id, .. } if *id == label.id),
        matches!(&page.changes[1], Change::ImageDeleted { id, .. } if *id == ImageId::from("i")),
    ];
    assert_eq!(gone, [true, true]);
}

async fn what_nobody_will_ask_for_again_is_forgotten_and_nothing_else(store: &dyn Store) {
    let (ann, key) = project(store, "tidy").await;
    let me = party(&ann, Some("a"));
    let keyed = SaveQuestion {
        key: Some((IdempotencyKey::from("tidy-k"), vec![1])),
        ..question(&key, &me, "tidy-a")
    };
    save(
        store,
        keyed.clone(),
        write_next(key.clone(), "tidy-a", 1.0, false, None),
    )
    .await;
    // Two grants that ended and one that lives; on another image one alone, which ended.
    for _ in 0..3 {
        lock(store, &key, &me, None, grant_for(LEASE)).await;
    }
    let other = image(store, "tidy", "other", ann.id).await;
    lock(store, &other, &me, None, grant_for(LEASE)).await;
    lock(store, &other, &me, None, |_| LockDecision::End {
        reason: ReleaseReason::Released,
        hold_until: None,
    })
    .await;
    let (day, token) = (Duration::from_secs(86_400), |number: u8| [100 + number; 32]);
    store
        .begin_session(ann.id, token(1), day)
        .await
        .expect("a session");
    let proceed = async |from, to| {
        let user = store.continue_session(token(from), token(to), day).await;
        user.expect("an answer").is_some()
    };
    assert!(proceed(1, 2).await);

    let remembered = async || {
        let (scene, _) = save(store, keyed.clone(), |_| {
            SaveDecision::Refuse(Refusal::Invalid.because("no"))
        })
        .await;
        let mut grants = Vec::new();
        for generation in 1..=3 {
            let scene = look(store, &key, &me, Some(Generation(generation))).await;
            grants.push(scene.named.is_some());
        }
        let alone = look(store, &other, &me, None).await.own_last;
        (scene.applied.is_some(), grants, alone.is_some())
    };
    let tidy = async |kept| while store.tidy(kept).await.expect("a step") > 0 {};
    tidy(Kept::LONG).await;
    assert_eq!(
        remembered().await,
        (true, vec![true; 3], true),
        "all of it is young"
    );

    let nothing_is_kept = Kept {
        keys: Duration::ZERO,
        grants: Duration::ZERO,
        tokens: Duration::ZERO,
    };
    tidy(nothing_is_kept).await;
    assert_eq!(
        remembered().await,
        (false, vec![false, false, true], true),
        "but for an image's newest grant"
    );
    assert_eq!(
        store
            .history(&"tidy-a".into(), ann.id)
            .await
            .expect("a look")
            .map(|all| all.len()),
        Some(1)
    );
    assert!(!proceed(1, 3).await, "a token that was exchanged is forgotten");
    assert!(proceed(2, 4).await, "and its session goes on");
}

async fn news_is_what_watchers_do_not_know(store: &dyn Store) {
    let (ann, key) = project(store, "news").await;
    let (ben, other) = (
        user(store, "ben").await,
        image(store, "news", "other", ann.id).await,
    );
    set_role(store, &key.project, ben.id, Some(Role::Annotator)).await;
    let news = async |since: Cursor, known: &[&Lock]| {
        let known = known.iter().map(|lock| (lock.image_id.clone(), lock.generation));
        let news = store.news(&key.project, since, known.collect()).await;
        news.expect("news")
    };
    let nothing = news(Cursor(0), &[]).await;
    assert_eq!(
        (nothing.left, nothing.ended, nothing.granted),
        (vec![], vec![], vec![])
    );
    assert_eq!(
        nothing.newest,
        store.newest_change(&key.project).await.expect("a look")
    );

    let (first, second) = (grant(store, &key, &ann).await, grant(store, &other, &ben).await);
    let told = news(nothing.newest, &[]).await;
    assert_eq!(
        (told.ended, told.granted),
        (vec![], vec![first.clone(), second.clone()])
    );
    let told = news(nothing.newest, &[&first, &second]).await;
    assert_eq!((told.ended, told.granted), (vec![], vec![]));

    // One is taken over, and with his membership Ben's ends.
    let third = grant(store, &key, &ann).await;
    let before = store.newest_change(&key.project).await.expect("a look");
    set_role(store, &key.project, ben.id, None).await;
    let told = news(before, &[&first, &second]).await;
    let mut ended: Vec<_> = told
        .ended
        .iter()
        .map(|ended| (ended.user, ended.reason))
        .collect();
    ended.sort_by_key(|(user, _)| *user);
    let expected = [
        (ann.id, ReleaseReason::TakenOver),
        (ben.id, ReleaseReason::Forced),
    ];
    assert_eq!(
        (ended, told.granted, told.left),
        (expected.to_vec(), vec![third.clone()], vec![ben.id])
    );
    assert_eq!(news(told.newest, &[&third]).await.left, [], "that was told");
}
