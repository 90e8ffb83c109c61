//! One signed-in person's work on this machine: the cache, the session, the lanes to the server, and the words
//! in which the window hears of them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use lockstep_wire::{Annotation, AnnotationId, Api, ProjectId, User, UserId};
use tokio::task::JoinSet;

use crate::board::Board;
use crate::cache::annotations::{self, Rights};
use crate::cache::outbox::{self, Counts};
use crate::cache::{Cache, Db, images, labels, projects, undo};
use crate::follow::{self, Follows};
use crate::link::Reach;
use crate::session::{self, Lane, Session, run_lane, run_session};
use crate::station::Station;
use crate::sync::{self, Sync};
use crate::view::{Delta, Event, ImageRow, LockView, OpenedImage, SaveState, SaveView};
use crate::watchdog::keep_running;
use crate::{Error, Place};

/// Everything of one signed-in person.
pub(crate) struct Desk<A: Api> {
    pub station: Arc<Station<A>>,
    pub user: User,
    pub cache: Cache,
    pub board: Board,
    pub session: Session,
    pub lane: Lane,
    pub sync: Sync,
    pub follows: Follows,
    save: Mutex<SaveView>,
    /// `None` once it is closed.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl<A: Api> Desk<A> {
    /// Opens the cache and sets everything going; nothing here waits for the network.
    pub(crate) async fn open(
        station: Arc<Station<A>>,
        user: User,
        cache_path: &Path,
    ) -> Result<Arc<Self>, Error> {
        let cache = Cache::open(cache_path).await?;
        let (session, session_loop) = Session::new();
        let (lane, lane_jobs) = Lane::new();
        let desk = Arc::new(Self {
            station,
            user,
            cache,
            board: Board::default(),
            session,
            lane,
            sync: Sync::default(),
            follows: Follows::default(),
            save: Mutex::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
        });
        desk.announce_save().await;
        desk.spawn(run_lane(Arc::clone(&desk), lane_jobs));
        let session_loop = Arc::new(tokio::sync::Mutex::new(session_loop));
        desk.keep_running("the session", move |desk| {
            let session_loop = Arc::clone(&session_loop);
            async move { run_session(desk, &mut *session_loop.lock().await).await }
        });
        desk.keep_running("listening for the server", run_reach);
        desk.keep_running("sync", sync::run_sync);
        follow::resume(&desk).await?;
        Ok(desk)
    }

    /// Runs beside everything else until the desk is closed; of a closed one nothing is begun.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = &mut *tasks {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(task, &self.station.runtime);
        }
    }

    /// As [`Desk::spawn`], for a loop that is begun anew should it panic.
    pub(crate) fn keep_running<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        what: &'static str,
        run: impl Fn(Arc<Self>) -> F + Send + std::marker::Sync + 'static,
    ) {
        let desk = Arc::clone(self);
        self.spawn(async move { keep_running(what, || run(Arc::clone(&desk))).await });
    }

    /// Stops everything; what was asked of the cache is still done.
    pub(crate) async fn close(&self) {
        drop(self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.cache.close().await;
    }

    /// Takes all annotations of an image as the server had them at `revision`.
    pub(crate) async fn take_annotations(
        &self,
        place: &Place,
        list: Vec<Annotation>,
        revision: i64,
    ) -> Result<(), Error> {
        let at = place.clone();
        let touched = self
            .cache
            .write(move |tx| take_annotations(tx, &at, &list, revision))
            .await?;
        self.announce_annotations(place, touched).await;
        Ok(())
    }

    /// What changed on an image, in the window's words.
    pub(crate) async fn delta(&self, place: &Place, touched: Vec<AnnotationId>) -> Result<Delta, Error> {
        let mut turn = self.station.telling.lock().await;
        self.read_delta(&mut turn, place, touched).await
    }

    async fn read_delta(
        &self,
        as_of: &mut u64,
        place: &Place,
        touched: Vec<AnnotationId>,
    ) -> Result<Delta, Error> {
        let (at, me) = (place.clone(), self.user.id);
        let (changed, removed, history, counts) = self
            .cache
            .read(move |tx| {
                let rights = rights(tx, &at.project, me)?;
                let (mut changed, mut removed) = (Vec::new(), Vec::new());
                for id in touched {
                    match annotations::view(tx, &at, &id, rights)? {
                        Some(view) => changed.push(view),
                        None => removed.push(id),
                    }
                }
                Ok((changed, removed, undo::history(tx, &at)?, outbox::counts(tx)?))
            })
            .await?;
        Ok(Delta {
            image_id: place.image.clone(),
            changed,
            removed,
            history,
            save: self.save_view(as_of, counts),
        })
    }

    /// The open image with everything on it.
    pub(crate) async fn opened_image(&self, place: &Place) -> Result<OpenedImage, Error> {
        let mut turn = self.station.telling.lock().await;
        let session = session::read_session(self, &mut turn, place).await?;
        let (at, me) = (place.clone(), self.user.id);
        let (annotations, history, counts) = self
            .cache
            .read(move |tx| {
                let rights = rights(tx, &at.project, me)?;
                Ok((
                    annotations::views(tx, &at, rights)?,
                    undo::history(tx, &at)?,
                    outbox::counts(tx)?,
                ))
            })
            .await?;
        Ok(OpenedImage {
            session,
            annotations,
            history,
            save: self.save_view(&mut turn, counts),
        })
    }

    /// The image list of a project, with who holds what.
    pub(crate) async fn rows(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        let of = project.clone();
        let mut rows = self.cache.read(move |tx| images::rows(tx, &of)).await?;
        for row in &mut rows {
            row.lock = self.lock_view(&Place::new(project, &row.id));
        }
        Ok(rows)
    }

    fn lock_view(&self, place: &Place) -> LockView {
        if self.lane.is_windows(place) {
            return LockView::Mine;
        }
        self.board.view(place, self.user.id, &self.station.client_id)
    }

    /// Tells of an image's row.
    pub(crate) async fn announce_image(&self, place: &Place) {
        let _turn = self.station.telling.lock().await;
        let at = place.clone();
        match self.cache.read(move |tx| images::row(tx, &at)).await {
            Ok(Some(mut row)) => {
                row.lock = self.lock_view(place);
                let project_id = place.project.clone();
                self.station.tell(Event::Images {
                    project_id,
                    rows: Some(vec![row]),
                });
            }
            Ok(None) | Err(Error::Closing) => {}
            Err(error) => tracing::error!(%error, "an image could not be read"),
        }
    }

    /// Tells that the whole list is to be read again.
    pub(crate) fn announce_list(&self, project: &ProjectId) {
        self.station.tell(Event::Images {
            project_id: project.clone(),
            rows: None,
        });
    }

    /// Tells of a project's labels.
    pub(crate) async fn announce_labels(&self, project: &ProjectId) {
        let _turn = self.station.telling.lock().await;
        let of = project.clone();
        match self.cache.read(move |tx| labels::all(tx, &of)).await {
            Ok(labels) => self.station.tell(Event::Labels {
                project_id: project.clone(),
                labels,
            }),
            Err(error) => tracing::error!(%error, "the labels could not be read"),
        }
    }

    /// Tells of annotations that changed without the window's doing, where they are on the open image.
    pub(crate) async fn announce_annotations(&self, place: &Place, touched: Vec<AnnotationId>) {
        let is_open = self.session.open_place().is_some_and(|(open, _)| open == *place);
        if !is_open || touched.is_empty() {
            return;
        }
        let mut turn = self.station.telling.lock().await;
        match self.read_delta(&mut turn, place, touched).await {
            Ok(delta) => self.station.tell(Event::Annotations(delta)),
            Err(error) => tracing::error!(%error, "changed annotations could not be read"),
        }
    }

    /// Tells where the changes stand, when that is news.
    pub(crate) async fn announce_save(&self) {
        let mut turn = self.station.telling.lock().await;
        match self.cache.read(|tx| outbox::counts(tx)).await {
            Ok(counts) => {
                let view = self.save_view(&mut turn, counts);
                let is_news = {
                    let mut save = self.save.lock().unwrap_or_else(PoisonError::into_inner);
                    let told = std::mem::replace(&mut *save, view.clone());
                    told != SaveView {
                        as_of: told.as_of,
                        ..view.clone()
                    }
                };
                if is_news {
                    self.station.tell(Event::Save(view));
                }
            }
            Err(Error::Closing) => {}
            Err(error) => tracing::error!(%error, "the outbox could not be counted"),
        }
    }

    /// As it was told last.
    pub(crate) fn save(&self) -> SaveView {
        self.save.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn save_view(&self, as_of: &mut u64, counts: Counts) -> SaveView {
        *as_of += 1;
        let Counts {
            unsent,
            conflicts,
            refused,
        } = counts;
        let state = if refused > 0 {
            SaveState::Refused
        } else if conflicts > 0 {
            SaveState::Conflict
        } else if self.station.link.is_offline() {
            SaveState::Offline
        } else if unsent == 0 {
            SaveState::Synced
        } else if self.sync.is_sending() {
            SaveState::Syncing
        } else {
            SaveState::SavedHere
        };
        SaveView {
            as_of: *as_of,
            state,
            unsent,
            conflicts,
            refused,
        }
    }
}

/// What `me` may change in a project; nothing in one this machine does not know.
pub(crate) fn rights(db: &Db, project: &ProjectId, me: UserId) -> Result<Rights, Error> {
    let project = projects::get(db, project)?;
    Ok(Rights {
        me,
        annotates: project.as_ref().is_some_and(|project| project.role.annotates()),
        edits_all: project.is_some_and(|project| project.role.manages() || project.annotators_edit_all),
    })
}

pub(crate) fn take_annotations(
    db: &Db,
    place: &Place,
    list: &[Annotation],
    revision: i64,
) -> Result<Vec<AnnotationId>, Error> {
    let mut touched = Vec::new();
    for annotation in list {
        if annotations::take_server(db, annotation)? {
            touched.push(annotation.id.clone());
        }
    }
    // The feed may know a later moment than the list; then only the feed says what is gone.
    if images::revision(db, place)?.is_some_and(|known| known > revision) {
        return Ok(touched);
    }
    for stored in annotations::at_server(db, place)? {
        let is_listed = list.iter().any(|annotation| annotation.id == stored.id);
        if let Some(version) = stored.server_version.filter(|_| !is_listed)
            && annotations::take_tombstone(db, place, &stored.id, version.next())?
        {
            touched.push(stored.id);
        }
    }
    Ok(touched)
}

/// Passes on that the server came or went.
async fn run_reach<A: Api>(desk: Arc<Desk<A>>) {
    let mut reach = desk.station.link.listen();
    let mut is_verified = false;
    loop {
        let now = *reach.borrow_and_update();
        match now {
            Reach::Online => {
                // Once a run, so that a sign-in that ended meanwhile shows before something is lost to it.
                if !std::mem::replace(&mut is_verified, true) {
                    drop(desk.station.ask(desk.station.api.me()).await);
                }
                desk.session.tell_online();
                desk.lane.give_back_leftovers();
                desk.sync.wake();
            }
            Reach::Offline => {
                desk.board.forget();
                desk.follows
                    .projects()
                    .iter()
                    .for_each(|project| desk.announce_list(project));
            }
            Reach::Unknown => {}
        }
        desk.announce_save().await;
        if reach.changed().await.is_err() {
            return;
        }
    }
}
