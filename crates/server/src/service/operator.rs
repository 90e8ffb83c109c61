//! What whoever has the data in his hands may do without signing in: the command line, and the demo.

use lockstep_wire::{Answer, ApiToken, MadeToken, NewToken, ProjectId, TokenId, User, UserId};

use super::passwords::check_password_rules;
use super::{Service, invalid, no_such_project};

impl Service {
    /// Whose email address this is.
    pub async fn user_of(&self, email: &str) -> Answer<User> {
        let account = self.store.account(email).await?;
        Ok(account
            .map(|account| account.user)
            .ok_or_else(|| invalid(format!("There is no account {email}.")))?)
    }

    /// Gives an account another password; whoever was signed in to it is no more.
    pub async fn reset_password(&self, email: &str, password: String) -> Answer<()> {
        let user = self.user_of(email).await?;
        check_password_rules(&password, &user.email)?;
        self.set_password(user.id, password, None).await
    }

    /// Makes a token for a script of someone's.
    pub async fn add_token_of(&self, email: &str, request: NewToken) -> Answer<MadeToken> {
        let user = self.user_of(email).await?;
        self.add_api_token(user.id, request).await
    }

    /// Someone's tokens for scripts.
    pub async fn tokens_of(&self, email: &str) -> Answer<Vec<ApiToken>> {
        self.api_tokens(self.user_of(email).await?.id).await
    }

    /// Ends one of them.
    pub async fn end_token_of(&self, email: &str, id: TokenId) -> Answer<()> {
        self.delete_api_token(self.user_of(email).await?.id, id).await
    }

    /// The first account that was made here.
    pub async fn first_user(&self) -> Answer<Option<User>> {
        Ok(self.store.user(UserId(1)).await?)
    }

    /// In whose name an operator works on a project.
    pub async fn owner_of(&self, project: &ProjectId) -> Answer<User> {
        let owner = self.store.owner(project).await?;
        Ok(owner.ok_or_else(no_such_project)?)
    }
}
