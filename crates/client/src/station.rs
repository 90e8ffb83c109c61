//! What everyone signed in on this machine works with: the wire, time, and the one channel for facts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::{Answer, Api, ApiError, ClientId, Refusal, User};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::link::Link;
use crate::ports::Clock;
use crate::view::{AccountView, Event};

/// One running client's surroundings.
pub(crate) struct Station<A> {
    pub api: A,
    pub link: Link,
    pub clock: Arc<dyn Clock>,
    pub client_id: ClientId,
    pub device: String,
    pub data_dir: PathBuf,
    /// As it is shown and stored.
    pub server: String,
    pub events: mpsc::UnboundedSender<Event>,
    /// Where everything runs, whoever calls.
    pub runtime: Handle,
    pub this_run_only: watch::Receiver<Option<String>>,
    pub person: Mutex<Person>,
    /// See [`crate::view::SaveView::as_of`]; held from reading a state to telling it, so that a later number is a
    /// later state, and no older one is told after a newer.
    pub telling: tokio::sync::Mutex<u64>,
}

/// Who works here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Person {
    pub user: Option<User>,
    pub sign_in_again: bool,
}

impl<A: Api> Station<A> {
    /// Waits for an answer and learns from it whether the server is there and the sign-in holds.
    pub(crate) async fn ask<T>(&self, call: impl Future<Output = Answer<T>>) -> Answer<T> {
        let answer = call.await;
        match &answer {
            Err(ApiError::Network(_)) => self.link.doubt(),
            Err(ApiError::Refused(detail)) if detail.refusal == Refusal::Unauthorized => self.end_sign_in(),
            // An answer where none was expected: the link is better than it is said to be.
            _ if self.link.is_offline() => self.link.doubt(),
            _ => {}
        }
        answer
    }

    fn end_sign_in(&self) {
        self.change_person(|person| person.sign_in_again = person.user.is_some());
    }

    /// Changes who works here, and tells when that is news.
    pub(crate) fn change_person(&self, change: impl FnOnce(&mut Person)) {
        let is_news = {
            let mut person = self.person.lock().unwrap_or_else(PoisonError::into_inner);
            let before = person.clone();
            change(&mut person);
            *person != before
        };
        if is_news {
            self.tell(Event::Account(self.account()));
        }
    }

    /// The server no longer takes this machine's tokens.
    pub(crate) fn must_sign_in_again(&self) -> bool {
        self.person
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sign_in_again
    }

    pub(crate) fn account(&self) -> AccountView {
        let person = self.person.lock().unwrap_or_else(PoisonError::into_inner).clone();
        AccountView {
            server: self.server.clone(),
            user: person.user,
            this_run_only: self.this_run_only.borrow().clone(),
            sign_in_again: person.sign_in_again,
        }
    }

    /// Sends a fact up. Nobody listening is the shell's affair.
    pub(crate) fn tell(&self, event: Event) {
        drop(self.events.send(event));
    }

    /// The window's clock at a moment of the steady one.
    pub(crate) fn wall_at(&self, steady: Duration) -> DateTime<Utc> {
        let now = self.clock.steady();
        let shift = |span: Duration| chrono::TimeDelta::from_std(span).unwrap_or(chrono::TimeDelta::MAX);
        let wall = self.clock.wall();
        let there = if steady >= now {
            wall.checked_add_signed(shift(steady - now))
        } else {
            wall.checked_sub_signed(shift(now - steady))
        };
        there.unwrap_or(wall)
    }
}
