//! The sign-in: an access token in memory, and the refresh token in the machine's keychain.
//!
//! **Invariant:** no token is written to a file, a database or a log.

use std::sync::Arc;

use lockstep_wire::{Answer, ApiError, LoginRequest, RefreshRequest, Refusal, Tokens, User, routes};
use reqwest::Method;
use tokio::sync::{Mutex, watch};
use url::Url;

use super::HttpApi;
use super::answer::{network, read_json};
use crate::ports::Keychain;

/// One person's tokens.
pub(super) struct SignIn {
    server: String,
    keychain: Arc<dyn Keychain>,
    held: Mutex<Held>,
    this_run_only: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Held {
    access: Option<String>,
    refresh: Option<String>,
    /// The keychain's name for this sign-in.
    account: Option<String>,
}

impl SignIn {
    pub(super) fn new(server: &Url, keychain: Arc<dyn Keychain>, remembered: Option<&str>) -> Self {
        let server = server.as_str().trim_end_matches('/').to_owned();
        let account = remembered.map(|email| account_name(&server, email));
        let held = Mutex::new(Held {
            account,
            ..Held::default()
        });
        Self {
            server,
            keychain,
            held,
            this_run_only: watch::Sender::new(None),
        }
    }

    pub(super) fn this_run_only(&self) -> watch::Receiver<Option<String>> {
        self.this_run_only.subscribe()
    }

    fn set_this_run_only(&self, why: Option<String>) {
        self.this_run_only.send_if_modified(|known| {
            let is_news = *known != why;
            *known = why;
            is_news
        });
    }

    /// The access token there is, or a new one.
    pub(super) async fn access(self: &Arc<Self>, api: &HttpApi) -> Answer<String> {
        let held = self.held.lock().await.access.clone();
        match held {
            Some(token) => Ok(token),
            None => self.renew(api, None).await,
        }
    }

    /// A newer access token than `stale`. Many calls may find theirs stale at once; a refresh token is good
    /// for one refresh, so one of them does it.
    pub(super) async fn renew(self: &Arc<Self>, api: &HttpApi, stale: Option<String>) -> Answer<String> {
        let (this, api) = (Arc::clone(self), api.clone());
        to_its_end(async move {
            let mut held = this.held.lock().await;
            match &held.access {
                Some(token) if Some(token) != stale.as_ref() => Ok(token.clone()),
                _ => this.refresh(&api, &mut held).await,
            }
        })
        .await
    }

    async fn refresh(&self, api: &HttpApi, held: &mut Held) -> Answer<String> {
        if held.refresh.is_none()
            && let Some(account) = held.account.clone()
        {
            held.refresh = self
                .in_keychain(move |keychain| keychain.read(&account))
                .await
                .flatten();
        }
        let Some(refresh_token) = held.refresh.clone() else {
            return Err(Refusal::Unauthorized.because("Sign in.").into());
        };
        let call = api
            .request(Method::POST, routes::REFRESH, &[], &[])
            .json(&RefreshRequest { refresh_token });
        match read_json::<Tokens>(call.send().await.map_err(network)?).await {
            Ok(tokens) => Ok(self.keep(held, tokens).await),
            Err(ApiError::Refused(detail)) => {
                held.access = None;
                Err(Refusal::Unauthorized.because(detail.message).into())
            }
            Err(other) => Err(other),
        }
    }

    pub(super) async fn login(&self, api: &HttpApi, request: LoginRequest) -> Answer<User> {
        let mut held = self.held.lock().await;
        let call = api.request(Method::POST, routes::LOGIN, &[], &[]).json(&request);
        let tokens: Tokens = read_json(call.send().await.map_err(network)?).await?;
        let user = tokens.user.clone();
        held.account = Some(account_name(&self.server, &user.email));
        self.keep(&mut held, tokens).await;
        Ok(user)
    }

    /// Forgets the tokens here, then tells the server.
    pub(super) async fn logout(self: &Arc<Self>, api: &HttpApi) -> Answer<()> {
        let (this, api) = (Arc::clone(self), api.clone());
        to_its_end(async move {
            let forgotten = this.forget().await;
            let Some(refresh_token) = forgotten.refresh else {
                return Ok(());
            };
            let call = api
                .request(Method::POST, routes::LOGOUT, &[], &[])
                .json(&RefreshRequest { refresh_token });
            let call = match forgotten.access {
                Some(access) => call.bearer_auth(access),
                None => call,
            };
            let response = call.send().await.map_err(network)?;
            if response.status().is_success() {
                Ok(())
            } else {
                read_json::<()>(response).await
            }
        })
        .await
    }

    /// Nobody signs in before the keychain has forgotten the one who was.
    async fn forget(&self) -> Held {
        let mut guard = self.held.lock().await;
        let mut held = std::mem::take(&mut *guard);
        if let Some(account) = held.account.take() {
            if held.refresh.is_none() {
                let account = account.clone();
                held.refresh = self
                    .in_keychain(move |keychain| keychain.read(&account))
                    .await
                    .flatten();
            }
            self.in_keychain(move |keychain| keychain.delete(&account)).await;
        }
        self.set_this_run_only(None);
        held
    }

    /// Keeps the tokens: the refresh token in the keychain, or for this run where there is none.
    async fn keep(&self, held: &mut Held, tokens: Tokens) -> String {
        held.access = Some(tokens.access_token.clone());
        held.refresh = Some(tokens.refresh_token.clone());
        if let Some(account) = held.account.clone() {
            let stored = self
                .in_keychain(move |keychain| keychain.write(&account, &tokens.refresh_token))
                .await;
            if stored.is_some() {
                self.set_this_run_only(None);
            }
        }
        tokens.access_token
    }

    /// Off the async threads: a keychain may ask a person, or a bus that hangs.
    async fn in_keychain<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Keychain) -> Result<T, String> + Send + 'static,
    ) -> Option<T> {
        let keychain = Arc::clone(&self.keychain);
        let done = tokio::task::spawn_blocking(move || call(&*keychain)).await;
        match done.unwrap_or_else(|_| Err("The keychain failed.".to_owned())) {
            Ok(value) => Some(value),
            Err(why) => {
                self.set_this_run_only(Some(why));
                None
            }
        }
    }
}

/// Whoever asked may lose patience in the middle; what happens to tokens must happen whole, for the server
/// takes a refresh token once.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Answer<T>> + Send + 'static) -> Answer<T> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|_| Err(ApiError::Network("the sign-in failed unexpectedly".to_owned())))
}

fn account_name(server: &str, email: &str) -> String {
    format!("{email} at {server}")
}
