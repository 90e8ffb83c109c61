//! Annotations in and out; whether a write is stored is for `saves` to say.

use lockstep_wire::annotations::SaveNotes;
use lockstep_wire::{
    Annotation, AnnotationId, Answer, ApiError, CreateAnnotation, Geometry, IdempotencyKey, ImageAnnotations,
    ImageId, ProjectId, RefusalDetail, Removed, SaveContext, Saved, ServerEvent, UpdateAnnotation, UserId,
    Version,
};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::locks::check_client;
use super::saves::{Edit, Intent, decide_save, no_such_annotation, only_on};
use super::{Service, check_text, image_is_gone, internal, invalid, no_such_image, no_such_project};
use crate::metrics::{REPLAYED, STORED};
use crate::store::{
    AnnotationVersion, AnnotationsRead, Announcement, ImageKey, Party, Presence, RenderedAnnotations, Save,
    SaveOutcome, SaveQuestion, WriteDone,
};

/// `GET /annotations/{id}/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Oldest first, tombstones included.
    pub versions: Vec<AnnotationVersion>,
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum BatchOp {
    /// As `POST /annotations`.
    Create {
        /// Which write this is, however often it is sent.
        #[serde(default)]
        key: Option<IdempotencyKey>,
        /// Made by the server when left out.
        #[serde(default)]
        id: Option<AnnotationId>,
        /// What is there, and where.
        #[serde(flatten)]
        fields: lockstep_wire::AnnotationFields,
    },
    /// As `PUT /annotations/{id}`.
    Update {
        /// Which write this is, however often it is sent.
        #[serde(default)]
        key: Option<IdempotencyKey>,
        /// Which annotation.
        id: AnnotationId,
        /// The change.
        #[serde(flatten)]
        update: UpdateAnnotation,
    },
    /// As `DELETE /annotations/{id}`.
    Delete {
        /// Which write this is, however often it is sent.
        #[serde(default)]
        key: Option<IdempotencyKey>,
        /// Which annotation.
        id: AnnotationId,
        /// The one the decision to delete was based on.
        version: Version,
    },
}

/// What came of one write of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchResult {
    /// As the single write's answer.
    Saved {
        /// As the single write would have been answered.
        status: u16,
        /// The body.
        #[serde(flatten)]
        saved: Box<Saved>,
    },
    /// As the single delete's answer.
    Removed {
        /// As the single write would have been answered.
        status: u16,
        /// The body.
        #[serde(flatten)]
        removed: Removed,
    },
    /// As the single write's refusal.
    Refused {
        /// As the single write would have been answered.
        status: u16,
        /// The body.
        detail: RefusalDetail,
    },
}

/// The answer to a batch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// One for each write, in order.
    pub results: Vec<BatchResult>,
}

/// Writes one request may carry: enough for a busy image, and never a transaction of seconds.
const LONGEST_BATCH: usize = 1000;

impl Service {
    /// What has been said about an image.
    pub async fn annotations(
        &self,
        user: UserId,
        project: ProjectId,
        image: ImageId,
    ) -> Answer<RenderedAnnotations> {
        let key = ImageKey { project, image };
        let kept = self.rendered.get(&key);
        let known = kept.as_ref().map(|kept| kept.image_revision);
        match self.store.annotations(&key, user, known).await? {
            Some(AnnotationsRead::Rendered(rendered)) => {
                self.rendered.insert(key, rendered.clone());
                Ok(rendered)
            }
            Some(AnnotationsRead::Missing(Presence::Deleted)) => Err(image_is_gone().into()),
            Some(AnnotationsRead::Missing(_)) => Err(no_such_image().into()),
            Some(AnnotationsRead::Unchanged) => {
                Ok(kept.ok_or_else(|| internal(&anyhow::anyhow!("no revision was known")))?)
            }
            None => Err(no_such_project().into()),
        }
    }

    /// Every state an annotation was in.
    pub async fn history(&self, user: UserId, id: &AnnotationId) -> Answer<History> {
        let versions = self.store.history(id, user).await?;
        let versions = versions.ok_or_else(no_such_annotation)?;
        Ok(History { versions })
    }

    /// Stores a new annotation; says whether it was not there before.
    pub async fn create(
        &self,
        user: UserId,
        request: CreateAnnotation,
        context: SaveContext,
    ) -> Answer<(Saved, bool)> {
        let done = self.save_one(self.plan_create(user, request, context)?).await?;
        let created = !done.notes.replayed;
        Ok((saved(done), created))
    }

    /// Saves upon the version the request names.
    pub async fn update(
        &self,
        user: UserId,
        id: AnnotationId,
        request: UpdateAnnotation,
        context: SaveContext,
    ) -> Answer<Saved> {
        Ok(saved(
            self.save_one(self.plan_update(user, id, request, context)?)
                .await?,
        ))
    }

    /// Deletes the version the request names.
    pub async fn delete(
        &self,
        user: UserId,
        id: AnnotationId,
        version: Version,
        context: SaveContext,
    ) -> Answer<Removed> {
        Ok(removed(
            self.save_one(self.plan_delete(user, id, version, context)?)
                .await?,
        ))
    }

    /// Writes in order, in one transaction; what is refused does not hold up the rest.
    pub async fn batch(
        &self,
        user: UserId,
        image: ImageKey,
        ops: Vec<BatchOp>,
        context: SaveContext,
    ) -> Answer<BatchAnswer> {
        self.member(user, &image.project).await?;
        if ops.len() > LONGEST_BATCH {
            return Err(invalid(format!("A batch holds at most {LONGEST_BATCH} writes.")).into());
        }
        let (mut saves, mut faults) = (Vec::new(), Vec::new());
        for op in ops {
            let delete = matches!(op, BatchOp::Delete { .. });
            match self.plan_op(user, &image, op, &context) {
                Ok(save) => {
                    saves.push(save);
                    faults.push((None, delete));
                }
                Err(fault) => faults.push((Some(fault), delete)),
            }
        }
        let mut outcomes = self.save(saves).await?.into_iter();
        let mut results = Vec::with_capacity(faults.len());
        for (fault, delete) in faults {
            let outcome = match fault {
                Some(ApiError::Refused(refusal)) => Err(refusal),
                Some(error) => return Err(error),
                None => done_of(
                    outcomes
                        .next()
                        .ok_or_else(|| internal(&anyhow::anyhow!("a save has no outcome")))?,
                ),
            };
            results.push(match outcome {
                Ok(done) if delete => BatchResult::Removed {
                    status: 200,
                    removed: removed(done),
                },
                Ok(done) => {
                    let created = !done.notes.replayed && done.annotation.version == Version::FIRST;
                    BatchResult::Saved {
                        status: if created { 201 } else { 200 },
                        saved: Box::new(saved(done)),
                    }
                }
                Err(detail) => BatchResult::Refused {
                    status: detail.refusal.status(),
                    detail,
                },
            });
        }
        Ok(BatchAnswer { results })
    }

    fn plan_op(&self, user: UserId, image: &ImageKey, op: BatchOp, context: &SaveContext) -> Answer<Save> {
        let with = |key| SaveContext {
            key,
            ..context.clone()
        };
        match op {
            BatchOp::Create { key, id, fields } => {
                let (project_id, image_id) = (image.project.clone(), image.image.clone());
                self.plan_create(
                    user,
                    CreateAnnotation {
                        id,
                        project_id,
                        image_id,
                        fields,
                    },
                    with(key),
                )
            }
            BatchOp::Update { key, id, update } => {
                let save = self.plan_update(user, id, update, with(key))?;
                Ok(only_on(image.clone(), save))
            }
            BatchOp::Delete { key, id, version } => {
                let save = self.plan_delete(user, id, version, with(key))?;
                Ok(only_on(image.clone(), save))
            }
        }
    }

    fn plan_create(&self, user: UserId, request: CreateAnnotation, context: SaveContext) -> Answer<Save> {
        check_geometry(&request.fields.geometry)?;
        let fingerprint = fingerprint("create", "", &request)?;
        let CreateAnnotation {
            id,
            project_id,
            image_id,
            fields,
        } = request;
        // Without an id of the client's, the key makes a retry the same create.
        let id = match (id, &context.key) {
            (Some(id), _) => id,
            (None, Some(key)) => AnnotationId(key.0.clone()),
            (None, None) => AnnotationId::new(),
        };
        check_text("The annotation id", id.as_str(), 64)?;
        let image = ImageKey {
            project: project_id,
            image: image_id,
        };
        self.plan(user, id, Edit::Create { image, fields }, fingerprint, context)
    }

    fn plan_update(
        &self,
        user: UserId,
        id: AnnotationId,
        request: UpdateAnnotation,
        context: SaveContext,
    ) -> Answer<Save> {
        if let Some(geometry) = &request.geometry {
            check_geometry(geometry)?;
        }
        let fingerprint = fingerprint("update", id.as_str(), &request)?;
        self.plan(user, id, Edit::Update(request), fingerprint, context)
    }

    fn plan_delete(
        &self,
        user: UserId,
        id: AnnotationId,
        version: Version,
        context: SaveContext,
    ) -> Answer<Save> {
        let fingerprint = fingerprint("delete", id.as_str(), &version)?;
        self.plan(user, id, Edit::Delete { version }, fingerprint, context)
    }

    fn plan(
        &self,
        user: UserId,
        id: AnnotationId,
        edit: Edit,
        fingerprint: Vec<u8>,
        context: SaveContext,
    ) -> Answer<Save> {
        let SaveContext {
            key,
            generation,
            client_id,
        } = context;
        check_client(client_id.as_ref())?;
        if let Some(key) = &key {
            check_text("The idempotency key", key.as_str(), 64)?;
        }
        let party = Party {
            user,
            client: client_id,
        };
        let question = SaveQuestion {
            party: party.clone(),
            annotation: id.clone(),
            create_on: edit.creates_on().cloned(),
            label: edit.names_label().cloned(),
            generation,
            key: key.map(|key| (key, fingerprint.clone())),
        };
        let intent = Intent {
            party,
            id,
            edit,
            generation,
            fingerprint,
            lease: self.settings.lease,
        };
        Ok(Save {
            question,
            rule: Box::new(move |scene| decide_save(scene, &intent)),
        })
    }

    async fn save_one(&self, save: Save) -> Answer<Done> {
        let outcome = self.save(vec![save]).await?.pop();
        let outcome = outcome.ok_or_else(|| internal(&anyhow::anyhow!("a save has no outcome")))?;
        Ok(done_of(outcome)?)
    }

    async fn save(&self, saves: Vec<Save>) -> Answer<Vec<SaveOutcome>> {
        if saves.is_empty() {
            return Ok(Vec::new());
        }
        let report = self.store.save(saves).await?;
        self.announce(report.ended);
        let mut newest = None;
        for outcome in &report.outcomes {
            let (done, cursor) = match outcome {
                SaveOutcome::Applied { done, cursor } => (done, cursor),
                SaveOutcome::Replayed { .. } => {
                    self.metrics.saved(REPLAYED);
                    continue;
                }
                SaveOutcome::Refused(refusal) => {
                    self.metrics.saved(refusal.refusal.code());
                    continue;
                }
            };
            self.metrics.saved(STORED);
            let project = &done.annotation.project_id;
            if let Some(lock) = &done.lock {
                let event = ServerEvent::LockAcquired { lock: lock.clone() };
                self.announce([Announcement {
                    project: project.clone(),
                    event,
                }]);
            }
            newest = Some((project.clone(), *cursor));
        }
        if let Some((project, cursor)) = newest {
            self.announce_changes(&project, cursor);
        }
        Ok(report.outcomes)
    }
}

/// Answers that were sent and may be asked for again, whole images at a time. Whether one is still true, and for whom, is
/// asked of the database each time.
pub(super) type Rendered = Cache<ImageKey, RenderedAnnotations, Bytes>;

/// Bytes of them that are kept: a dozen images of ten thousand annotations, or thousands of ordinary ones.
const KEPT: u64 = 64 << 20;

pub(super) fn rendered() -> Rendered {
    // The number is an estimate of how many fit.
    Cache::with_weighter(1000, KEPT, Bytes)
}

/// What an answer weighs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes;

impl Weighter<ImageKey, RenderedAnnotations> for Bytes {
    fn weight(&self, _: &ImageKey, rendered: &RenderedAnnotations) -> u64 {
        rendered.json.len() as u64
    }
}

impl RenderedAnnotations {
    /// What was rendered, for a reader in this process.
    pub fn parse(&self) -> Answer<ImageAnnotations> {
        serde_json::from_slice(&self.json).map_err(|error| internal(&error.into()))
    }
}

/// A write that took effect, now or before.
struct Done {
    annotation: Annotation,
    notes: SaveNotes,
}

fn done_of(outcome: SaveOutcome) -> Result<Done, RefusalDetail> {
    let (done, replayed, newest) = match outcome {
        SaveOutcome::Refused(refusal) => return Err(refusal),
        SaveOutcome::Replayed { done, newest } => (done, true, Some(newest)),
        SaveOutcome::Applied { done, .. } => (done, false, None),
    };
    let WriteDone {
        annotation,
        lock,
        image_revision,
        ..
    } = *done;
    let newest_version = newest.filter(|newest| *newest != annotation.version);
    let notes = SaveNotes {
        replayed,
        newest_version,
        lock,
        image_revision: Some(image_revision),
    };
    Ok(Done { annotation, notes })
}

fn saved(done: Done) -> Saved {
    Saved {
        annotation: done.annotation,
        notes: done.notes,
    }
}

fn removed(done: Done) -> Removed {
    Removed {
        id: done.annotation.id,
        version: done.annotation.version,
        deleted: true,
        notes: done.notes,
    }
}

fn check_geometry(geometry: &Geometry) -> Answer<()> {
    match geometry.fault() {
        Some(fault) => Err(invalid(format!("The geometry is no shape: {fault}.")).into()),
        None => Ok(()),
    }
}

/// Tells requests apart that come under one key.
fn fingerprint(verb: &str, id: &str, request: &impl Serialize) -> Answer<Vec<u8>> {
    let request = serde_json::to_vec(&(verb, id, request)).map_err(|error| internal(&error.into()))?;
    Ok(Sha256::digest(request).to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use lockstep_wire::{AnnotationFields, Role};
    use serde_json::Map;

    use super::*;
    use crate::Settings;
    use crate::service::ProjectFields;
    use crate::store::Added;

    async fn server(folder: &Path) -> Arc<Service> {
        let service = crate::embedded::open(folder, Settings::default()).await;
        service.expect("a service")
    }

    async fn person(service: &Service, name: &str) -> UserId {
        let email = format!("{name}@example.org");
        let added = service.add_user(&email, name, "correct horse".into(), false);
        match added.await.expect("an account") {
            Added::New(user) => user.id,
            Added::Taken => panic!("{name} is there already"),
        }
    }

    fn fields(x: f64) -> AnnotationFields {
        AnnotationFields {
            label_id: None,
            geometry: Geometry::bbox(x, 0.0, 1.0, 1.0),
            attributes: Map::new(),
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_kept_is_as_true_as_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(crate::embedded::DATABASE);
        let [here, elsewhere] = [server(folder.path()).await, server(folder.path()).await];
        let [olga, ann] = [person(&here, "olga").await, person(&here, "ann").await];
        let project = ProjectId::from("p");
        let new = ProjectFields {
            id: Some(project.clone()),
            name: "p".into(),
            annotators_edit_all: false,
        };
        here.add_project(olga, new).await.expect("a project");
        let joined = here.change_role(olga, &project, ann, Some(Role::Annotator)).await;
        joined.expect("a member");
        let database = rusqlite::Connection::open(&file).expect("a database");
        let image = "INSERT INTO images (project_id, id, file_name, width, height, media_type, content_hash, revision,
                                         added_by, added_at)
                     VALUES ('p', 'i', 'i', 1, 1, 'image/png', '00', 1, 1, 0)";
        database.execute_batch(image).expect("an image");

        let read = async |reader| here.annotations(reader, "p".into(), "i".into()).await;
        let shown = async || {
            let annotations = read(ann)
                .await
                .expect("she may")
                .parse()
                .expect("JSON")
                .annotations;
            annotations.into_iter().map(|one| one.fields).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            assert!(shown().await.is_empty());
        }
        let create = CreateAnnotation {
            id: None,
            project_id: project.clone(),
            image_id: "i".into(),
            fields: fields(1.0),
        };
        let (saved, _) = elsewhere
            .create(ann, create, SaveContext::default())
            .await
            .expect("saved");
        for _ in 0..2 {
            assert_eq!(shown().await, [fields(1.0)], "what another process saved");
        }
        here.change_role(olga, &project, ann, None)
            .await
            .expect("a farewell");
        assert!(read(ann).await.is_err(), "it is kept, but not for her");
        here.change_role(olga, &project, ann, Some(Role::Annotator))
            .await
            .expect("a return");
        assert_eq!(shown().await, [fields(1.0)]);

        // Another database in the place of this one, in which the same revision says something else.
        let other = format!(
            "UPDATE annotations SET geometry = replace(geometry, '1.0', '2.0') WHERE id = '{}';
             UPDATE server SET data_epoch = 'another'",
            saved.annotation.id
        );
        database.execute_batch(&other).expect("a restored backup");
        here.look_at_epoch().await.expect("a look");
        let Geometry::Bbox(now) = &shown().await[0].geometry else {
            panic!("a box")
        };
        assert_eq!(now.width, 2.0);
    }
}
