//! Who is told what, once it is committed.
//!
//! **Invariant:** an event is a hint. Whoever misses one, because he was slow or away, asks the feed and the lock list.

use std::collections::HashMap;
use std::sync::Mutex;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lockstep_wire::{Answer, ChangePage, Cursor, ProjectId, ServerEvent, UserId};
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
}

/// Everyone who has an event stream open.
pub(super) struct Watchers {
    notices: broadcast::Sender<Notice>,
    /// The feed's places that watched projects were told of.
    told: Mutex<HashMap<ProjectId, Cursor>>,
}

impl Watchers {
    pub(super) fn new() -> Self {
        Self {
            notices: broadcast::channel(BACKLOG).0,
            told: Mutex::default(),
        }
    }

    fn tell(&self, announcement: Announcement) {
        // Nobody listening is fine.
        let _ = self.notices.send(Notice::Told(announcement));
    }

    /// Whether this place in the feed is news to the project's watchers.
    fn is_news(&self, project: &ProjectId, cursor: Cursor) -> bool {
        let mut told = self.told.lock().expect("nothing panics while it holds this map");
        let last = told.entry(project.clone()).or_insert(Cursor(0));
        let news = cursor > *last;
        *last = cursor.max(*last);
        news
    }

    fn watched(&self) -> Vec<ProjectId> {
        if self.notices.receiver_count() == 0 {
            return Vec::new();
        }
        self.told
            .lock()
            .expect("nothing panics while it holds this map")
            .keys()
            .cloned()
            .collect()
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
        let newest = self.store.newest_change(&project).await?;
        self.watchers.is_news(&project, newest);
        let first = (last_heard != Some(newest)).then_some(ServerEvent::Changes { cursor: newest });
        let later = stream::unfold((notices, project, user), async |(mut notices, project, user)| {
            loop {
                match notices.recv().await {
                    Ok(Notice::Told(told)) if told.project == project => {
                        return Some((told.event, (notices, project, user)));
                    }
                    Ok(Notice::Dismissed(from, who)) if from == project && who == user => return None,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                }
            }
        });
        Ok(stream::iter(first).chain(later).boxed())
    }

    /// Tells watchers of changes that other processes on this database have made.
    pub async fn look_for_changes(&self) -> Answer<()> {
        for project in self.watchers.watched() {
            self.changed(&project).await?;
        }
        Ok(())
    }

    pub(super) fn announce<A: Into<Announcement>>(&self, announcements: impl IntoIterator<Item = A>) {
        for announcement in announcements {
            self.watchers.tell(announcement.into());
        }
    }

    pub(super) fn announce_changes(&self, project: &ProjectId, cursor: Cursor) {
        if self.watchers.is_news(project, cursor) {
            let event = ServerEvent::Changes { cursor };
            self.watchers.tell(Announcement {
                project: project.clone(),
                event,
            });
        }
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
    use crate::service::ProjectFields;
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
            let [olga, ann] = [person(&service, "olga").await, person(&service, "ann").await];
            let project = ProjectId::from("p");
            let fields = ProjectFields {
                id: Some(project.clone()),
                name: "p".into(),
                annotators_edit_all: false,
            };
            service.add_project(olga, fields).await.expect("a project");
            let joined = service.change_role(olga, &project, ann, Some(Role::Viewer)).await;
            joined.expect("a member");

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
