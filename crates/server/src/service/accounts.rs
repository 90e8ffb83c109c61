//! Signing in, staying signed in, signing out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lockstep_wire::{
    Answer, ApiError, ApiToken, LoginRequest, LogoutRequest, MadeToken, NewToken, PasswordChange, Refusal,
    RefusalDetail, TokenId, TokenScope, Tokens, User, UserId,
};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::passwords::check_password_rules;
use super::{Service, check_text, forbidden, internal, invalid};
use crate::blobs::hex;
use crate::store::{Account, Added, Credential, NewApiToken, NewUser, SessionId, TokenHash};

/// Who asks, as his token shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// Whose token it is.
    pub user: UserId,
    /// Which token.
    pub credential: Credential,
    /// How long it will be good, unless it is ended before; for ever when there is none.
    pub good_for: Option<Duration>,
}

impl Bearer {
    /// The session; scripts have none, and what concerns the account itself is not theirs to change.
    pub fn session(&self) -> Answer<SessionId> {
        match self.credential {
            Credential::Session(session) => Ok(session),
            Credential::ApiToken(_) => {
                Err(forbidden("A token for scripts may not do this; please sign in.").into())
            }
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// It changes nothing.
    Look,
    /// Anything else.
    Change,
}

impl Service {
    /// Makes an account.
    pub async fn add_user(
        &self,
        email: &str,
        name: &str,
        password: String,
        admin: bool,
    ) -> Answer<Added<User>> {
        check_text("The email address", email, 254)?;
        check_text("The name", name, 100)?;
        if !email.contains('@') {
            return Err(super::invalid("This is not an email address.").into());
        }
        check_password_rules(&password, email)?;
        let password_hash = self.passwords.hash(password).await?;
        let user = NewUser {
            email: email.to_owned(),
            name: name.to_owned(),
            password_hash,
            admin,
        };
        Ok(self.store.add_user(user).await?)
    }

    /// Whether someone is who he says he is. The answer and the work are the same for a wrong password and for an
    /// account that does not exist.
    pub async fn check_password(&self, request: LoginRequest) -> Answer<User> {
        let LoginRequest { email, password } = request;
        let account = self.store.account(&email).await?;
        let hash = account.as_ref().map(|account| account.password_hash.as_str());
        let right = self.passwords.verify(password.clone(), hash).await?;
        let Some(Account { user, password_hash }) = account.filter(|_| right) else {
            return Err(Refusal::Unauthorized
                .because("Email or password is wrong.")
                .into());
        };
        if self.passwords.is_outdated(&password_hash) {
            let better = self.passwords.hash(password).await?;
            self.store.rehash_password(user.id, password_hash, better).await?;
        }
        Ok(user)
    }

    /// Begins a session.
    pub async fn login(&self, request: LoginRequest, from: Option<IpAddr>) -> Answer<Tokens> {
        self.attempts.count(&request.email, from)?;
        let user = self.check_password(request).await?;
        let (refresh_token, hash) = new_token("")?;
        let session = self
            .store
            .begin_session(user.id, hash, self.settings.refresh_token)
            .await?;
        self.tokens(user, session, refresh_token)
    }

    /// Exchanges a refresh token for new tokens.
    pub async fn refresh(&self, refresh_token: &str) -> Answer<Tokens> {
        let (next, next_hash) = new_token("")?;
        let lifetime = self.settings.refresh_token;
        let proceeded = self
            .store
            .continue_session(token_hash(refresh_token), next_hash, lifetime)
            .await?;
        let (session, user) = proceeded.ok_or_else(sign_in)?;
        self.tokens(user, session, next)
    }

    /// Ends the session a refresh token belongs to, or every session of its user.
    pub async fn logout(&self, request: LogoutRequest) -> Answer<()> {
        let token = token_hash(&request.refresh_token);
        let ended = self.store.end_session(token, request.everywhere).await?;
        self.end(ended.into_iter().map(Credential::Session));
        Ok(())
    }

    /// Gives oneself another password, and ends one's other sessions.
    pub async fn change_password(&self, user: UserId, here: SessionId, change: PasswordChange) -> Answer<()> {
        let email = self.me(user).await?.email;
        self.attempts.count(&email, None)?;
        check_password_rules(&change.new_password, &email)?;
        let login = LoginRequest {
            email,
            password: change.old_password,
        };
        if let Err(error) = self.check_password(login).await {
            return Err(match error {
                // He is signed in; a client that reads 401 would sign him out.
                ApiError::Refused(detail) if detail.refusal == Refusal::Unauthorized => {
                    forbidden("The old password is wrong.").into()
                }
                other => other,
            });
        }
        self.set_password(user, change.new_password, Some(here)).await
    }

    pub(super) async fn set_password(
        &self,
        user: UserId,
        password: String,
        keep: Option<SessionId>,
    ) -> Answer<()> {
        let hash = self.passwords.hash(password).await?;
        let ended = self.store.set_password(user, hash, keep).await?;
        self.end(ended.into_iter().map(Credential::Session));
        Ok(())
    }

    /// Whose account this is.
    pub async fn me(&self, user: UserId) -> Answer<User> {
        Ok(self.store.user(user).await?.ok_or_else(sign_in)?)
    }

    /// Who a token was given to, and whether it is good for what is asked.
    pub async fn authenticate(&self, token: &str, intent: Intent) -> Answer<Bearer> {
        if token.starts_with(API_TOKEN) {
            let good = self.store.use_api_token(token_hash(token)).await?;
            let good = good.ok_or_else(sign_in)?;
            if (good.scope, intent) == (TokenScope::ReadOnly, Intent::Change) {
                return Err(forbidden("This token is for reading alone.").into());
            }
            return Ok(Bearer {
                user: good.user,
                credential: Credential::ApiToken(good.id),
                good_for: good.expires_in,
            });
        }
        let bearer = self.tokens.bearer(token).ok_or_else(sign_in)?;
        match self.ended.has(bearer.credential) {
            true => Err(sign_in().into()),
            false => Ok(bearer),
        }
    }

    /// One's tokens for scripts.
    pub async fn api_tokens(&self, user: UserId) -> Answer<Vec<ApiToken>> {
        Ok(self.store.api_tokens(user).await?)
    }

    /// Makes a token for a script of one's own.
    pub async fn add_api_token(&self, user: UserId, request: NewToken) -> Answer<MadeToken> {
        check_text("The token's name", &request.name, 100)?;
        let lifetime = request.expires_in.map(Duration::from_secs);
        if lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime > LONGEST_TOKEN_LIFE) {
            return Err(
                invalid("A token is good for a second at least, and for a hundred years at most.").into(),
            );
        }
        let (token, hash) = new_token(API_TOKEN)?;
        let new = NewApiToken {
            user,
            hash,
            name: request.name,
            scope: request.scope,
            lifetime,
        };
        let about = self.store.add_api_token(new).await?;
        Ok(MadeToken { token, about })
    }

    /// Ends one of one's tokens.
    pub async fn delete_api_token(&self, user: UserId, id: TokenId) -> Answer<()> {
        if !self.store.delete_api_token(user, id).await? {
            return Err(Refusal::NotFound.because("There is no such token.").into());
        }
        self.end([Credential::ApiToken(id)]);
        Ok(())
    }

    /// Learns what other servers on this database ended, and forgets attempts that count no more.
    pub async fn look_for_ended(&self) -> Answer<()> {
        self.attempts.prune();
        // Whatever ended earlier has lapsed by itself.
        let ended = self
            .store
            .ended_credentials(self.settings.access_token + CLOCKS_APART)
            .await?;
        self.end(ended);
        Ok(())
    }

    /// From now on these are good for nothing here; whoever listens by one of them hears no more.
    fn end(&self, ended: impl IntoIterator<Item = Credential>) {
        let kept = self.settings.access_token + 2 * CLOCKS_APART;
        self.ended.add(ended, Instant::now(), kept);
    }

    /// Until a token is good for nothing more.
    pub async fn until_over(self: Arc<Self>, bearer: Bearer) {
        let ended = self.ended.until(bearer.credential);
        match bearer.good_for {
            // The time is up, or it was ended before; either way it is over.
            Some(left) => drop(tokio::time::timeout(left, ended).await),
            None => ended.await,
        }
    }

    fn tokens(&self, user: User, session: SessionId, refresh_token: String) -> Answer<Tokens> {
        Ok(Tokens {
            access_token: self.tokens.issue(user.id, session)?,
            refresh_token,
            token_type: "bearer".into(),
            expires_in: self.settings.access_token.as_secs(),
            user,
        })
    }
}

/// What a token for scripts begins with, so that it is known for what it is where it should not be.
const API_TOKEN: &str = "lsk_";

const LONGEST_TOKEN_LIFE: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The database's clock says when a session ended, this process's when an access token lapses.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

fn sign_in() -> RefusalDetail {
    Refusal::Unauthorized.because("Please sign in.")
}

fn new_token(prefix: &str) -> Answer<(String, TokenHash)> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| internal(&error.into()))?;
    let token = format!("{prefix}{}", hex(&random));
    let hash = token_hash(&token);
    Ok((token, hash))
}

fn token_hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// What was ended before its time. An access token says on its own whose it is; this is what it cannot say.
#[derive(Default)]
pub(super) struct EndedCredentials(watch::Sender<HashMap<Credential, Instant>>);

impl EndedCredentials {
    fn has(&self, credential: Credential) -> bool {
        self.0.borrow().contains_key(&credential)
    }

    /// Forgets what was last added longer ago than `kept`.
    fn add(&self, ended: impl IntoIterator<Item = Credential>, now: Instant, kept: Duration) {
        self.0.send_if_modified(|known| {
            known.retain(|_, since| now.duration_since(*since) <= kept);
            let before = known.len();
            known.extend(ended.into_iter().map(|ended| (ended, now)));
            known.len() > before
        });
    }

    async fn until(&self, credential: Credential) {
        let mut ended = self.0.subscribe();
        // The sender is borrowed, so it is there.
        drop(ended.wait_for(|ended| ended.contains_key(&credential)).await);
    }
}

/// Issues and reads the short-lived tokens that every request carries.
pub(super) struct AccessTokens {
    encode: EncodingKey,
    decode: DecodingKey,
    lifetime: Duration,
    validation: Validation,
    /// Tokens whose signature is right: it need not be checked with every request they come with.
    signed: Cache<String, Signed>,
}

/// What a token says under its signature.
#[derive(Clone, Copy)]
struct Signed {
    user: UserId,
    session: SessionId,
    /// In seconds since 1970.
    until: u64,
}

/// Tokens in use at one time whose signature is remembered.
const SIGNED: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// The session.
    sid: i64,
    iat: u64,
    exp: u64,
}

impl AccessTokens {
    pub(super) fn new(key: &[u8], lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        Self {
            encode: EncodingKey::from_secret(key),
            decode: DecodingKey::from_secret(key),
            lifetime,
            validation,
            signed: Cache::new(SIGNED),
        }
    }

    fn issue(&self, user: UserId, session: SessionId) -> Answer<String> {
        let iat = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            sub: user.to_string(),
            sid: session.0,
            iat,
            exp: iat + self.lifetime.as_secs(),
        };
        jsonwebtoken::encode(&Header::default(), &claims, &self.encode)
            .map_err(|error| internal(&error.into()))
    }

    fn bearer(&self, token: &str) -> Option<Bearer> {
        let known = self.signed.get(token);
        let signed = known.or_else(|| self.verify(token))?;
        let left = signed.until.checked_sub(jsonwebtoken::get_current_timestamp());
        if known.is_none() {
            self.signed.insert(token.to_owned(), signed);
        }
        Some(Bearer {
            user: signed.user,
            credential: Credential::Session(signed.session),
            good_for: Some(Duration::from_secs(left.filter(|left| *left > 0)?)),
        })
    }

    fn verify(&self, token: &str) -> Option<Signed> {
        let claims = jsonwebtoken::decode(token, &self.decode, &self.validation);
        let Claims { sub, sid, exp, .. } = claims.ok()?.claims;
        Some(Signed {
            user: sub.parse().ok().map(UserId)?,
            session: SessionId(sid),
            until: exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_names_its_user_and_session_to_its_own_server_alone() {
        let ours = AccessTokens::new(&[1; 32], Duration::from_secs(60));
        let theirs = AccessTokens::new(&[2; 32], Duration::from_secs(60));
        let token = ours.issue(UserId(7), SessionId(3)).expect("a token");
        let bearer = ours.bearer(&token).expect("it is ours");
        assert_eq!(
            (bearer.user, bearer.credential),
            (UserId(7), Credential::Session(SessionId(3)))
        );
        assert!(
            bearer
                .good_for
                .is_some_and(|left| left <= Duration::from_secs(60))
        );
        assert_eq!(theirs.bearer(&token), None);
        assert_eq!(ours.bearer("not.a.token"), None);
    }

    #[test]
    fn an_access_token_lapses() {
        let tokens = AccessTokens::new(&[1; 32], Duration::from_secs(60));
        let iat = jsonwebtoken::get_current_timestamp() - 120;
        let claims = Claims {
            sub: "7".into(),
            sid: 3,
            iat,
            exp: iat + 60,
        };
        let token = jsonwebtoken::encode(&Header::default(), &claims, &tokens.encode).expect("a token");
        assert_eq!(tokens.bearer(&token), None);
        // Also one whose signature was right a while ago.
        let signed = Signed {
            user: UserId(7),
            session: SessionId(3),
            until: iat + 60,
        };
        tokens.signed.insert(token.clone(), signed);
        assert_eq!(tokens.bearer(&token), None);
    }

    #[test]
    fn what_was_ended_is_forgotten_once_it_has_lapsed_by_itself() {
        let ended = EndedCredentials::default();
        let [one, two] = [3, 4].map(|id| Credential::Session(SessionId(id)));
        let (hour, now) = (Duration::from_secs(3600), Instant::now());
        ended.add([one], now, hour);
        ended.add([two], now + hour, hour);
        assert!(ended.has(one) && ended.has(two));
        assert!(!ended.has(Credential::ApiToken(TokenId(3))));
        ended.add([], now + hour + Duration::from_secs(1), hour);
        assert!(!ended.has(one) && ended.has(two));
    }

    #[tokio::test]
    async fn whoever_waits_for_a_credential_to_end_is_told_though_it_ended_before() {
        let ended = EndedCredentials::default();
        let [one, two] = [3, 4].map(|id| Credential::Session(SessionId(id)));
        let hour = Duration::from_secs(3600);
        ended.add([one], Instant::now(), hour);
        ended.until(one).await;
        let both = async {
            ended.add([two], Instant::now(), hour);
        };
        tokio::join!(ended.until(two), both);
    }
}
