//! Who is told what, once it is committed.
//!
//! **Invariant:** an event is a hint. Whoever misses one, because he was slow or away, asks the feed and the lock list.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lockstep_wire::{Answer, ChangePage, Cursor, Generation, ImageId, ProjectId, ServerEvent, UserId};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Service, no_such_project};
use crate::store::Announcement;

/// Notices a slow watcher may be behind before his stream ends and he starts anew.
const BACKLOG: usize = 1024;

/// Changes of one page unless asked for fewer or more.
const LONGEST_PAGE: u32 = 1000;

#[derive(Debug, Clone)]
enum Notice {
    Told(Announcement),
    /// No longer a member: nothing more is for his eyes.
    Dismissed(ProjectId, UserId),
    /// What was told is no longer so.
    Over,
}

/// Everyone who has an event stream open.
pub(super) struct Watchers {
    notices: broadcast::Sender<Notice>,
    /// What the watchers of each project were told last.
    told: Mutex<HashMap<ProjectId, Told>>,
}

/// What a project's watchers know, so that they hear of a thing once, whoever on this database did it.
#[derive(Debug)]
struct Told {
    newest: Cursor,
    /// How far the feed was searched for ended memberships. What was told may be further on by now, when this server
    /// made a change after another one's.
    looked: Cursor,
    /// Each image's newest grant they heard of, and whether it still lasts.
    locks: HashMap<ImageId, (Generation, bool)>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            newest: Cursor(0),
            looked: Cursor(0),
            locks: HashMap::new(),
        }
    }
}

impl Told {
    /// Whether this is news; it no longer is from here on.
    fn take_in(&mut self, event: &ServerEvent) -> bool {
        match event {
            ServerEvent::Changes { cursor } => {
                let news = *cursor > self.newest;
                self.newest = self.newest.max(*cursor);
                news
            }
            ServerEvent::LockAcquired { lock } => self.take_in_grant(&lock.image_id, lock.generation, true),
            ServerEvent::LockReleased {
                image_id, generation, ..
            } => self.take_in_grant(image_id, *generation, false),
        }
    }

    /// A grant's end comes after its beginning, and before the next one's.
    fn take_in_grant(&mut self, image: &ImageId, generation: Generation, lasts: bool) -> bool {
        let heard = self.locks.get(image);
        let news = heard.is_none_or(|&(newest, lasted)| {
            generation > newest || (generation == newest && lasted && !lasts)
        });
        if news {
            self.locks.insert(image.clone(), (generation, lasts));
        }
        news
    }

    fn live(&self) -> HashMap<ImageId, Generation> {
        let live = self.locks.iter().filter(|(_, (_, lasts))| *lasts);
        live.map(|(image, (generation, _))| (image.clone(), *generation))
            .collect()
    }
}

impl Watchers {
    pub(super) fn new() -> Self {
        Self {
            notices: broadcast::channel(BACKLOG).0,
            told: Mutex::default(),
        }
    }

    fn told(&self) -> MutexGuard<'_, HashMap<ProjectId, Told>> {
        self.told.lock().expect("nothing panics while it holds this map")
    }

    /// Whether nobody has watched this project until now.
    fn begin(&self, project: &ProjectId) -> bool {
        match self.told().entry(project.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Told::default());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    fn tell(&self, Announcement { project, event }: Announcement) {
        let mut told = self.told();
        if told.get_mut(&project).is_some_and(|told| told.take_in(&event)) {
            // In the order in which it was taken in; nobody listening is fine.
            let _ = self.notices.send(Notice::Told(Announcement { project, event }));
        }
    }

    pub(super) fn begin_anew(&self) {
        self.told().clear();
        let _ = self.notices.send(Notice::Over);
    }

    fn watched(&self) -> Vec<(ProjectId, Cursor, HashMap<ImageId, Generation>)> {
        let mut told = self.told();
        if self.notices.receiver_count() == 0 {
            told.clear();
        }
        told.iter()
            .map(|(project, told)| (project.clone(), told.looked, told.live()))
            .collect()
    }

    fn looked(&self, project: &ProjectId, until: Cursor) {
        if let Some(told) = self.told().get_mut(project) {
            told.looked = told.looked.max(until);
        }
    }
}

impl Service {
    /// What happened in a project since.
    pub async fn changes(
        &self,
        user: UserId,
        project: &ProjectId,
        since: Cursor,
        limit: Option<u32>,
    ) -> Answer<ChangePage> {
        let limit = limit.unwrap_or(LONGEST_PAGE).clamp(1, LONGEST_PAGE);
        let page = self.store.changes(project, user, since, limit).await?;
        Ok(page.ok_or_else(no_such_project)?)
    }

    /// Hints as things happen. The first says where the feed is, unless that is where the watcher last heard of.
    pub async fn watch(
        &self,
        user: UserId,
        project: ProjectId,
        last_heard: Option<Cursor>,
    ) -> Answer<BoxStream<'static, ServerEvent>> {
        // Listen first, then look: what is committed in between is heard twice rather than never, and so is the end
        // of a membership.
        let notices = self.watchers.notices.subscribe();
        self.member(user, &project).await?;
        if self.watchers.begin(&project) {
            let now = self.store.news(&project, Cursor(0), HashMap::new()).await?;
            let mut told = self.watchers.told();
            let told = told.entry(project.clone()).or_default();
            told.looked = told.looked.max(now.newest);
            for event in now.events() {
                told.take_in(&event);
            }
        }
        let newest = self.store.newest_change(&project).await?;
        let first = (last_heard != Some(newest)).then_some(ServerEvent::Changes { cursor: newest });
        let later = stream::unfold((notices, project, user), async |(mut notices, project, user)| {
            loop {
                match notices.recv().await {
                    Ok(Notice::Told(told)) if told.project == project => {
                        return Some((told.event, (notices, project, user)));
                    }
                    Ok(Notice::Dismissed(from, who)) if from == project && who == user => return None,
                    Ok(Notice::Over) => return None,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                }
            }
        });
        let open = self.metrics.streams_open.enter();
        let counted = move |event| {
            let _ = &open;
            event
        };
        Ok(stream::iter(first).chain(later).map(counted).boxed())
    }

    /// Tells watchers of what other processes on this database have done.
    pub async fn look_for_news(&self) -> Answer<()> {
        self.look_for_news_in(|_| true).await
    }

    /// As soon as another process says where. For ever.
    pub async fn listen_for_news(&self) {
        loop {
            let projects = self.store.hinted().await;
            // It has logged what is worth it; the regular look is still to come.
            let _ = self.look_for_news_in(|project| projects.contains(project)).await;
        }
    }

    async fn look_for_news_in(&self, there: impl Fn(&ProjectId) -> bool) -> Answer<()> {
        let watched = self.watchers.watched().into_iter();
        for (project, since, known) in watched.filter(|(project, ..)| there(project)) {
            let news = self.store.news(&project, since, known).await?;
            for member in &news.left {
                self.dismiss(&project, *member);
            }
            self.watchers.looked(&project, news.newest);
            for event in news.events() {
                let project = project.clone();
                self.watchers.tell(Announcement { project, event });
            }
        }
        Ok(())
    }

    pub(super) fn announce<A: Into<Announcement>>(&self, announcements: impl IntoIterator<Item = A>) {
        for announcement in announcements {
            let announcement = announcement.into();
            self.metrics.happened(&announcement.event);
            self.store.hint(&announcement.project);
            self.watchers.tell(announcement);
        }
    }

    pub(super) fn announce_changes(&self, project: &ProjectId, cursor: Cursor) {
        self.store.hint(project);
        self.watchers.tell(Announcement {
            project: project.clone(),
            event: ServerEvent::Changes { cursor },
        });
    }

    /// After a write that did not say where in the feed it is.
    pub(super) async fn changed(&self, project: &ProjectId) -> Answer<()> {
        self.announce_changes(project, self.store.newest_change(project).await?);
        Ok(())
    }

    pub(super) fn dismiss(&self, project: &ProjectId, member: UserId) {
        let _ = self
            .watchers
            .notices
            .send(Notice::Dismissed(project.clone(), member));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use lockstep_wire::Role;

    use super::*;
    use crate::service::{LabelFields, ProjectFields};
    use crate::settings::Settings;
    use crate::store::Added;

    /// With one thread for all that blocks, what was asked of the database first is answered first.
    #[test]
    fn l11_a_membership_that_ends_while_a_stream_is_being_opened_ends_the_stream() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let service = crate::embedded::open(folder.path(), Settings::default())
                .await
                .expect("a service");
            let (project, olga, ann) = project(&service).await;

            let mut opening = pin!(service.watch(ann, project.clone(), None));
            let begun = futures::poll!(&mut opening);
            service.projects(olga).await.expect("an answer after hers");
            service
                .change_role(olga, &project, ann, None)
                .await
                .expect("a farewell");
            let opened = match begun {
                Poll::Ready(opened) => opened,
                Poll::Pending => opening.await,
            };
            let events = opened.expect("she was a member when she asked");
            service
                .change_role(olga, &project, ann, Some(Role::Viewer))
                .await
                .expect("a return");
            let ended = tokio::time::timeout(Duration::from_secs(5), events.count()).await;
            assert!(ended.is_ok(), "she still listens");
        });
    }

    #[tokio::test]
    async fn l11_a_membership_that_another_server_ended_ends_the_stream_though_more_has_happened_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = async || {
            crate::embedded::open(folder.path(), Settings::default())
                .await
                .expect("a service")
        };
        let (here, elsewhere) = (server().await, server().await);
        let (project, olga, ann) = project(&here).await;
        let events = here.watch(ann, project.clone(), None).await.expect("a stream");
        elsewhere
            .change_role(olga, &project, ann, None)
            .await
            .expect("a farewell");
        let label = LabelFields {
            name: Some("cat".into()),
            ..LabelFields::default()
        };
        here.add_label(olga, &project, label).await.expect("a label");
        here.look_for_news().await.expect("a look");
        let ended = tokio::time::timeout(Duration::from_secs(5), events.count()).await;
        assert!(ended.is_ok(), "she still listens");
    }

    /// A project of Olga's, in which Ann may look.
    async fn project(service: &Arc<Service>) -> (ProjectId, UserId, UserId) {
        let [olga, ann] = [person(service, "olga").await, person(service, "ann").await];
        let project = ProjectId::from("p");
        let fields = ProjectFields {
            id: Some(project.clone()),
            name: "p".into(),
            annotators_edit_all: false,
        };
        service.add_project(olga, fields).await.expect("a project");
        let joined = service.change_role(olga, &project, ann, Some(Role::Viewer)).await;
        joined.expect("a member");
        (project, olga, ann)
    }

    async fn person(service: &Arc<Service>, name: &str) -> UserId {
        let email = format!("{name}@example.org");
        match service
            .add_user(&email, name, "correct horse".into(), false)
            .await
            .expect("an account")
        {
            Added::New(user) => user.id,
            Added::Taken => panic!("{name} is there already"),
        }
    }
}
