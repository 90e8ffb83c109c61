//! Signing in, staying signed in, signing out.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lockstep_wire::{Answer, ApiError, LoginRequest, Refusal, RefusalDetail, Tokens, User, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{Service, check_text, internal};
use crate::blobs::hex;
use crate::store::{Added, NewUser, TokenHash};

/// Passwords hashed at one time: each takes a core and 19 MiB for tens of milliseconds.
const HASHERS: usize = 2;

/// How long a sign-in waits for its turn before it is asked to come again.
const PATIENCE: Duration = Duration::from_secs(5);

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
        if password.chars().count() < SHORTEST_PASSWORD {
            let message = format!("A password needs at least {SHORTEST_PASSWORD} characters.");
            return Err(super::invalid(message).into());
        }
        let password_hash = self.passwords.hash(password).await?;
        let user = NewUser {
            email: email.to_owned(),
            name: name.to_owned(),
            password_hash,
            admin,
        };
        Ok(self.store.add_user(user).await?)
    }

    /// Whether someone is who he says he is. The answer and its delay are the same for a wrong password and for an
    /// account that does not exist.
    pub async fn check_password(&self, request: LoginRequest) -> Answer<User> {
        let account = self.store.account(&request.email).await?;
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let right = self.passwords.verify(request.password, hash).await?;
        match account {
            Some(account) if right => Ok(account.user),
            _ => Err(Refusal::Unauthorized
                .because("Email or password is wrong.")
                .into()),
        }
    }

    /// Begins a session.
    pub async fn login(&self, request: LoginRequest) -> Answer<Tokens> {
        let user = self.check_password(request).await?;
        let (refresh_token, hash) = new_refresh_token()?;
        self.store
            .begin_session(user.id, hash, self.settings.refresh_token)
            .await?;
        self.tokens(user, refresh_token)
    }

    /// Exchanges a refresh token for new tokens.
    pub async fn refresh(&self, refresh_token: &str) -> Answer<Tokens> {
        let (next, next_hash) = new_refresh_token()?;
        let lifetime = self.settings.refresh_token;
        let user = self
            .store
            .continue_session(token_hash(refresh_token), next_hash, lifetime)
            .await?;
        let (_, user) = user.ok_or_else(sign_in)?;
        self.tokens(user, next)
    }

    /// Ends the session a refresh token belongs to.
    pub async fn logout(&self, refresh_token: &str) -> Answer<()> {
        self.store.end_session(token_hash(refresh_token), false).await?;
        Ok(())
    }

    /// Whose account this is.
    pub async fn me(&self, user: UserId) -> Answer<User> {
        Ok(self.store.user(user).await?.ok_or_else(sign_in)?)
    }

    /// Who an access token was given to.
    pub fn authenticate(&self, access_token: &str) -> Answer<UserId> {
        Ok(self.tokens.user(access_token).ok_or_else(sign_in)?)
    }

    fn tokens(&self, user: User, refresh_token: String) -> Answer<Tokens> {
        Ok(Tokens {
            access_token: self.tokens.issue(user.id)?,
            refresh_token,
            token_type: "bearer".into(),
            expires_in: self.settings.access_token.as_secs(),
            user,
        })
    }
}

/// Length is what counts (NIST SP 800-63B).
const SHORTEST_PASSWORD: usize = 8;

fn sign_in() -> RefusalDetail {
    Refusal::Unauthorized.because("Please sign in.")
}

fn new_refresh_token() -> Answer<(String, TokenHash)> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| internal(&error.into()))?;
    let token = hex(&random);
    let hash = token_hash(&token);
    Ok((token, hash))
}

fn token_hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// Hashes and compares passwords, off the threads that serve requests and a few at a time.
pub(super) struct Passwords {
    permits: Semaphore,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            permits: Semaphore::new(HASHERS),
        }
    }

    async fn hash(&self, password: String) -> Answer<String> {
        self.run(move || Ok(Argon2::default().hash_password(password.as_bytes())?.to_string()))
            .await
    }

    /// Against nothing, a password is wrong after as much work.
    async fn verify(&self, password: String, hash: Option<String>) -> Answer<bool> {
        self.run(move || match hash {
            Some(hash) => {
                let hash = PasswordHash::new(&hash)?;
                Ok(Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok())
            }
            None => {
                Argon2::default().hash_password(password.as_bytes())?;
                Ok(false)
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> argon2::password_hash::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let busy = ApiError::Later {
            retry_after: PATIENCE,
        };
        let turn = tokio::time::timeout(PATIENCE, self.permits.acquire())
            .await
            .map_err(|_| busy)?;
        let _permit = turn.map_err(|closed| internal(&closed.into()))?;
        let done = tokio::task::spawn_blocking(work)
            .await
            .map_err(|panic| internal(&panic.into()))?;
        done.map_err(|error| internal(&anyhow::anyhow!("a password could not be hashed: {error}")))
    }
}

/// Issues and reads the short-lived tokens that every request carries.
pub(super) struct AccessTokens {
    encode: EncodingKey,
    decode: DecodingKey,
    lifetime: Duration,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
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
        }
    }

    fn issue(&self, user: UserId) -> Answer<String> {
        let iat = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            sub: user.to_string(),
            iat,
            exp: iat + self.lifetime.as_secs(),
        };
        jsonwebtoken::encode(&Header::default(), &claims, &self.encode)
            .map_err(|error| internal(&error.into()))
    }

    fn user(&self, token: &str) -> Option<UserId> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.decode, &self.validation).ok()?;
        token.claims.sub.parse().ok().map(UserId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_names_its_user_to_its_own_server_alone() {
        let ours = AccessTokens::new(&[1; 32], Duration::from_secs(60));
        let theirs = AccessTokens::new(&[2; 32], Duration::from_secs(60));
        let token = ours.issue(UserId(7)).expect("a token");
        assert_eq!(ours.user(&token), Some(UserId(7)));
        assert_eq!(theirs.user(&token), None);
        assert_eq!(ours.user("not.a.token"), None);
    }

    #[test]
    fn an_access_token_lapses() {
        let tokens = AccessTokens::new(&[1; 32], Duration::from_secs(60));
        let iat = jsonwebtoken::get_current_timestamp() - 120;
        let claims = Claims {
            sub: "7".into(),
            iat,
            exp: iat + 60,
        };
        let token = jsonwebtoken::encode(&Header::default(), &claims, &tokens.encode).expect("a token");
        assert_eq!(tokens.user(&token), None);
    }
}
