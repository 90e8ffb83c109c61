//! What the server decides: who may do what, who gets a lock, which save is stored.
//!
//! **Invariant:** nothing here knows HTTP or SQL, and nothing about locks and saves reads a clock; the rules are pure, and
//! the store runs them inside its transaction.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockstep_wire::{Answer, ApiError, Meta, ProjectId, Refusal, RefusalDetail, Role, UserId};

use crate::blobs::Blobs;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::store::{Authorise, Kept, Store, StoreError};

mod accounts;
mod annotations;
mod attempts;
mod changes;
mod images;
mod in_process;
mod locks;
mod operator;
mod passwords;
mod projects;
mod saves;

pub use crate::store::{Added, AddedImage, ImageKey, Member, RenderedAnnotations, SessionId};
pub use accounts::{Bearer, Intent};
pub use annotations::{BatchAnswer, BatchOp, BatchResult, History};
pub use images::{Content, NewFile, Received, Upload};
pub use in_process::InProcess;
pub use projects::{LabelFields, MemberChange, NewMember, ProjectFields};

/// Whoever asks whether the server is ready gives up soon.
const REACHED_WITHIN: Duration = Duration::from_secs(3);

/// Steps of one tidying: as many things a minute as a thousand busy people write.
const TIDY_STEPS: usize = 50;

/// The server without its HTTP.
pub struct Service {
    store: Arc<dyn Store>,
    blobs: Blobs,
    settings: Settings,
    /// As last seen; restored data begins another one.
    data_epoch: Mutex<String>,
    attempts: attempts::SignInAttempts,
    ended: accounts::EndedCredentials,
    passwords: passwords::Passwords,
    tokens: accounts::AccessTokens,
    watchers: changes::Watchers,
    metrics: Metrics,
    rendered: annotations::Rendered,
}

impl Service {
    /// Opens for business: locks live on, an outage is made up for.
    pub async fn open(store: Arc<dyn Store>, blobs: Blobs, settings: Settings) -> anyhow::Result<Arc<Self>> {
        let identity = store.identity().await?;
        let tokens = accounts::AccessTokens::new(&identity.signing_key, settings.access_token);
        let service = Self {
            attempts: attempts::SignInAttempts::new(&settings),
            ended: accounts::EndedCredentials::default(),
            passwords: passwords::Passwords::new(settings.password_work)?,
            store,
            blobs: blobs.limited(settings.pictures),
            settings,
            data_epoch: Mutex::new(identity.data_epoch),
            tokens,
            watchers: changes::Watchers::new(),
            metrics: Metrics::new(),
            rendered: annotations::rendered(),
        };
        service.sweep().await?;
        service.look_for_ended().await?;
        Ok(Arc::new(service))
    }

    /// What a client must know before anything else.
    pub async fn meta(&self) -> Answer<Meta> {
        Ok(Meta {
            name: Meta::NAME.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: Meta::PROTOCOL,
            data_epoch: self.look_at_epoch().await?,
            lock_ttl_ms: self.settings.lease.as_millis() as u64,
            heartbeat_ms: self.settings.heartbeat.as_millis() as u64,
        })
    }

    /// The data's epoch. Restored data is not what watchers were told of: every stream ends, and its client looks anew.
    pub async fn look_at_epoch(&self) -> Answer<String> {
        let epoch = self.store.identity().await?.data_epoch;
        let mut known = self
            .data_epoch
            .lock()
            .expect("nothing panics while it holds the epoch");
        if *known != epoch {
            known.clone_from(&epoch);
            self.watchers.begin_anew();
            // A revision may be given a second time, with something else in it.
            self.rendered.clear();
        }
        Ok(epoch)
    }

    /// Whether database and images can be reached.
    pub async fn ready(&self) -> Answer<()> {
        let reach = async {
            self.store.identity().await.map_err(anyhow::Error::from)?;
            self.blobs.reach().await
        };
        let fault = match tokio::time::timeout(REACHED_WITHIN, reach).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(fault)) => fault,
            Err(_) => anyhow::anyhow!("neither answer nor refusal in {REACHED_WITHIN:?}"),
        };
        tracing::warn!("not ready: {fault:#}");
        Err(Refusal::Unavailable
            .because("The database or the images cannot be reached.")
            .into())
    }

    /// What this server has done so far.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The same in the text that Prometheus reads. It is wanted most when the database does not answer.
    pub(crate) async fn written_metrics(&self) -> Answer<String> {
        let held = match tokio::time::timeout(REACHED_WITHIN, self.store.locks_held()).await {
            Ok(Ok(held)) => Some(held),
            // Whether it can serve is for `ready` to say.
            Ok(Err(_)) | Err(_) => None,
        };
        let queues = [
            ("writes", self.store.writes_waiting()),
            ("passwords", self.passwords.waiting()),
            ("decoders", self.blobs.decoders_waiting()),
        ];
        self.metrics
            .write(held, &queues)
            .map_err(|error| internal(&error.into()))
    }

    /// Forgets what nobody will ask for again, until there is no more of it or others have waited long enough.
    pub async fn tidy(&self) -> Answer<()> {
        for _ in 0..TIDY_STEPS {
            if self.store.tidy(Kept::LONG).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The lengths of time this server goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What someone may do in a project; a stranger does not learn that it is there.
    async fn member(&self, user: UserId, project: &ProjectId) -> Answer<Role> {
        Ok(self
            .store
            .role(project, user)
            .await?
            .ok_or_else(no_such_project)?)
    }

    async fn manager(&self, user: UserId, project: &ProjectId) -> Answer<()> {
        Ok(MAY_MANAGE(self.store.role(project, user).await?)?)
    }
}

/// For a store to ask inside its transaction.
const MAY_MANAGE: Authorise = |role| authorise_manager(role).map(drop);

fn authorise_manager(role: Option<Role>) -> Result<Role, RefusalDetail> {
    match role {
        None => Err(no_such_project()),
        Some(role) if role.manages() => Ok(role),
        Some(_) => Err(forbidden("Only the project's owner and managers may do this.")),
    }
}

fn no_such_project() -> RefusalDetail {
    Refusal::NotFound.because("There is no such project, or you are not a member of it.")
}

/// Of a name that is in use. The contract's 409 is for versions alone.
pub(crate) fn taken(what: &str) -> RefusalDetail {
    invalid(format!("This id is in use by another {what}."))
}

fn no_such_image() -> RefusalDetail {
    Refusal::NotFound.because("There is no such image.")
}

fn image_is_gone() -> RefusalDetail {
    Refusal::Gone.because("This image has been deleted.")
}

fn forbidden(message: &str) -> RefusalDetail {
    Refusal::Forbidden.because(message)
}

fn invalid(message: impl Into<String>) -> RefusalDetail {
    Refusal::Invalid.because(message)
}

/// Text that people and paths can carry: not empty, not too long, nothing invisible.
fn check_text(what: &str, text: &str, longest: usize) -> Result<(), RefusalDetail> {
    let fault = match text.chars().count() {
        0 => format!("{what} is empty."),
        length if length > longest => format!("{what} is longer than {longest} characters."),
        _ if text.chars().any(char::is_control) => format!("{what} has characters that cannot be printed."),
        _ => return Ok(()),
    };
    Err(invalid(fault))
}

/// Logged here, once, with its whole chain; the client only learns that it was not its fault.
fn internal(error: &anyhow::Error) -> ApiError {
    tracing::error!("{error:#}");
    Refusal::Internal
        .because("Something went wrong on the server.")
        .into()
}

/// How long a client waits when the server's disk is full: a person has to see to it.
const ROOM_TO_BE_MADE: Duration = Duration::from_secs(30);

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Later {
                retry_after: Duration::from_secs(1),
            },
            StoreError::Unwritable(error) => {
                tracing::error!("{error:#}");
                Self::Later {
                    retry_after: ROOM_TO_BE_MADE,
                }
            }
            StoreError::Failed(error) => internal(&error),
        }
    }
}
