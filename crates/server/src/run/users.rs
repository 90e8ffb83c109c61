//! Accounts.

use anyhow::{Context as _, bail};
use lockstep_server::store::Added;

use super::open;
use crate::cli::{Place, User};

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
