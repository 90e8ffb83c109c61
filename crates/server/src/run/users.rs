//! Accounts, and tokens for scripts.

use anyhow::{Context as _, bail};
use lockstep_server::store::Added;
use lockstep_wire::{NewToken, TokenId, TokenScope};

use super::open;
use crate::cli::{Place, Token, User};

pub(super) async fn run(command: User, place: &Place) -> anyhow::Result<()> {
    match command {
        User::Add { email, name, admin } => {
            let password = read_password()?;
            let service = open(place).await?;
            let Added::New(user) = service.add_user(&email, &name, password, admin).await? else {
                bail!("There is an account {email} already.");
            };
            println!("{}", user.id);
        }
        User::Password { email } => {
            let password = read_password()?;
            open(place).await?.reset_password(&email, password).await?;
        }
    }
    Ok(())
}

pub(super) async fn token(command: Token, place: &Place) -> anyhow::Result<()> {
    match command {
        Token::Add {
            email,
            name,
            write,
            expires_in,
        } => {
            let request = NewToken {
                name,
                scope: if write {
                    TokenScope::ReadWrite
                } else {
                    TokenScope::ReadOnly
                },
                expires_in: expires_in.map(|time| time.as_secs()),
            };
            let made = open(place).await?.add_token_of(&email, request).await?;
            println!("{}", made.token);
        }
        Token::List { email } => {
            for token in open(place).await?.tokens_of(&email).await? {
                let scope = match token.scope {
                    TokenScope::ReadOnly => "read_only",
                    TokenScope::ReadWrite => "read_write",
                };
                let used = token
                    .last_used_at
                    .map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
                println!("{}\t{scope}\t{used}\t{}", token.id, token.name);
            }
        }
        Token::Remove { email, id } => open(place).await?.end_token_of(&email, TokenId(id)).await?,
    }
    Ok(())
}

/// One line, without its end.
fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
