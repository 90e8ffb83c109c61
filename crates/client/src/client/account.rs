//! Who works here: signing in and out.

use std::sync::Arc;
use std::time::Duration;

use lockstep_wire::{Api, ApiError, LoginRequest, Refusal, User};

use super::images::leave;
use super::{CLOSE_DEADLINE, Client};
use crate::Error;
use crate::cache::installation::{Account, Installation};
use crate::desk::Desk;
use crate::station::Person;
use crate::view::AccountView;

impl<A: Api> Client<A> {
    /// Who is signed in.
    pub async fn account(&self) -> AccountView {
        self.core.station.account()
    }

    /// Signs in; unsent work of an earlier sign-in of the same person goes on.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<AccountView, Error> {
        let _door = self.core.door.lock().await;
        let station = &self.core.station;
        let request = LoginRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        let user = match station.api.login(request).await {
            Ok(user) => user,
            Err(ApiError::Refused(detail)) if detail.refusal == Refusal::Unauthorized => {
                return Err(Error::WrongPassword);
            }
            Err(error) => {
                station.link.doubt();
                return Err(error.into());
            }
        };
        let account = Account {
            server: station.server.clone(),
            user: user.clone(),
        };
        self.remember(Some(account.clone())).await?;
        match self.desk() {
            Ok(desk) if desk.user.id == user.id => {
                self.enter(user);
                desk.session.tell_online();
                desk.lane.give_back_leftovers();
                desk.sync.wake();
            }
            _ => {
                self.clear_desk(CLOSE_DEADLINE).await;
                let path = account.cache_path(&station.data_dir);
                let desk = Desk::open(Arc::clone(station), user.clone(), &path).await?;
                self.set_desk(Some(desk));
                self.enter(user);
            }
        }
        Ok(station.account())
    }

    fn enter(&self, user: User) {
        self.core.station.change_person(|person| {
            *person = Person {
                user: Some(user),
                sign_in_again: false,
            }
        });
    }

    async fn remember(&self, account: Option<Account>) -> Result<(), Error> {
        let data_dir = self.core.station.data_dir.clone();
        let installation = Installation {
            client_id: self.core.station.client_id.clone(),
            account,
        };
        tokio::task::spawn_blocking(move || installation.store(&data_dir))
            .await
            .map_err(|_| Error::Closing)?
    }

    /// Signs out; unsent work stays on this machine.
    pub async fn sign_out(&self) -> Result<AccountView, Error> {
        let _door = self.core.door.lock().await;
        self.clear_desk(CLOSE_DEADLINE).await;
        self.remember(None).await?;
        let station = &self.core.station;
        // Whether the server heard it or not, this machine has forgotten the tokens.
        match tokio::time::timeout(CLOSE_DEADLINE, station.api.logout()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "the server was not told of the sign-out"),
            Err(_) => tracing::info!("the server was not told of the sign-out in time"),
        }
        station.change_person(|person| *person = Person::default());
        Ok(station.account())
    }

    pub(super) async fn clear_desk(&self, deadline: Duration) {
        if let Some(desk) = self.set_desk(None) {
            if tokio::time::timeout(deadline, leave(&desk, None)).await.is_err() {
                tracing::info!("a lock could not be given back in time; it is at the next start");
            }
            desk.close().await;
        }
    }
}
