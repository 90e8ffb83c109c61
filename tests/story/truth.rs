//! What the server says, asked over plain HTTP: a window may claim anything.

use anyhow::{Context, Result};
use lockstep_server::demo::{DEMO_PROJECT, Person};
use serde_json::{Value, json};

/// The server, read with somebody's account.
pub(crate) struct Truth {
    http: reqwest::Client,
    api: String,
    token: String,
}

impl Truth {
    pub(crate) async fn as_told_to(person: &Person, server: &str) -> Result<Self> {
        let http = reqwest::Client::new();
        let api = format!("{server}/api/v1");
        let credentials = json!({"email": person.email, "password": person.password});
        let answer = http
            .post(format!("{api}/auth/login"))
            .json(&credentials)
            .send()
            .await?
            .error_for_status()?;
        let answer: Value = answer.json().await?;
        let token = answer["access_token"].as_str().context("a token")?.to_owned();
        Ok(Self { http, api, token })
    }

    pub(crate) async fn image(&self, file_name: &str) -> Result<String> {
        let answer = self.get(&format!("projects/{DEMO_PROJECT}/images")).await?;
        let images = answer["images"].as_array().context("a list of images")?;
        let image = images.iter().find(|image| image["file_name"] == file_name);
        let image = image.with_context(|| format!("there is no {file_name} in {answer}"))?;
        Ok(image["id"].as_str().context("an id")?.to_owned())
    }

    /// Who holds the image; nobody when it is free.
    pub(crate) async fn holder(&self, image: &str) -> Result<Option<String>> {
        let lock = self
            .get(&format!("image-locks/{DEMO_PROJECT}/{image}/status"))
            .await?;
        Ok(lock["user_name"].as_str().map(str::to_owned))
    }

    pub(crate) async fn annotations(&self, image: &str) -> Result<Vec<Value>> {
        let mut answer = self
            .get(&format!("projects/{DEMO_PROJECT}/images/{image}/annotations"))
            .await?;
        serde_json::from_value(answer["annotations"].take()).context("a list of annotations")
    }

    /// The one annotation of this label on the image.
    pub(crate) async fn labelled(&self, image: &str, label: &str) -> Result<Value> {
        let all = self.annotations(image).await?;
        let found = all.iter().find(|annotation| annotation["label_id"] == label);
        found
            .cloned()
            .with_context(|| format!("no {label} among {all:?}"))
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self
            .http
            .get(format!("{}/{path}", self.api))
            .bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}
