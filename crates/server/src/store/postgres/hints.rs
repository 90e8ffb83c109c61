//! Hints between servers by NOTIFY and LISTEN, on a connection of their own and never inside anyone's transaction.
//!
//! **Invariant:** a hint is a hint. Lost ones cost a second: every server looks for news that often anyway.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::poll_fn;
use lockstep_wire::ProjectId;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::AsyncMessage;

use super::Address;

/// Hints that may wait to be sent, or to be heard. More say nothing new.
const BACKLOG: usize = 256;

/// Each project is mentioned once in this time, however much happens there.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two attempts to connect, longer each time up to the last.
const BACK_OFF: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

pub(super) struct Hints {
    own: mpsc::Sender<ProjectId>,
    others: Mutex<mpsc::Receiver<ProjectId>>,
}

impl Hints {
    /// Until it is dropped.
    pub(super) fn begin(address: &Address) -> Self {
        let (own, to_send) = mpsc::channel(BACKLOG);
        let (heard, others) = mpsc::channel(BACKLOG);
        tokio::spawn(keep_connected(address.clone(), to_send, heard));
        Self {
            own,
            others: Mutex::new(others),
        }
    }

    pub(super) fn hint(&self, project: &ProjectId) {
        // With so many waiting, others will look anyway.
        let _ = self.own.try_send(project.clone());
    }

    pub(super) async fn hinted(&self) -> HashSet<ProjectId> {
        let mut others = self.others.lock().await;
        let mut projects = HashSet::new();
        match others.recv().await {
            Some(project) => projects.insert(project),
            None => std::future::pending().await,
        };
        while let Ok(project) = others.try_recv() {
            projects.insert(project);
        }
        projects
    }
}

async fn keep_connected(
    address: Address,
    mut to_send: mpsc::Receiver<ProjectId>,
    heard: mpsc::Sender<ProjectId>,
) {
    let mut failures = 0;
    while !to_send.is_closed() {
        match exchange(&address, &mut to_send, &heard, &mut failures).await {
            Ok(()) => return,
            Err(error) => tracing::debug!("no hints between servers for now: {error:#}"),
        }
        tokio::time::sleep(BACK_OFF[failures.min(BACK_OFF.len() - 1)]).await;
        failures += 1;
    }
}

async fn exchange(
    address: &Address,
    to_send: &mut mpsc::Receiver<ProjectId>,
    heard: &mpsc::Sender<ProjectId>,
    failures: &mut usize,
) -> anyhow::Result<()> {
    let (client, mut connection) = address.config().connect(address.tls()?).await?;
    let mut messages = poll_fn(|cx| connection.poll_message(cx));
    let begin = async {
        client.batch_execute("LISTEN lockstep").await?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        row.try_get::<_, i32>(0)
    };
    tokio::pin!(begin);
    let own_process = loop {
        tokio::select! {
            begun = &mut begin => break begun?,
            message = messages.next() => {
                message.context("the connection was closed")??;
            }
        }
    };
    *failures = 0;
    let send = async {
        while let Some(project) = to_send.recv().await {
            let mut projects = HashSet::from([project.0]);
            while let Ok(project) = to_send.try_recv() {
                projects.insert(project.0);
            }
            let projects: Vec<_> = projects.into_iter().collect();
            let sql = "SELECT pg_notify('lockstep', project) FROM unnest($1::text[]) AS project";
            client.query(sql, &[&projects]).await?;
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(())
    };
    let listen = async {
        loop {
            let message = messages.next().await.context("the connection was closed")??;
            if let AsyncMessage::Notification(notice) = message
                && notice.process_id() != own_process
            {
                let _ = heard.try_send(notice.payload().into());
            }
        }
    };
    tokio::select! {
        sent = send => sent,
        failed = listen => failed,
    }
}
