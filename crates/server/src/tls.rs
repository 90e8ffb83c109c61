//! TLS by rustls: a certificate and its key, read anew when their files change.
//!
//! **Invariant:** files that cannot be used change nothing: the server goes on with what it read last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;

/// A certificate and its key.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RustlsConfig,
    /// As of the last look, good or not.
    seen: Mutex<Changed>,
}

/// When certificate and key were last written.
type Changed = [Option<SystemTime>; 2];

impl Tls {
    /// From PEM files: the server's certificate with those that vouch for it, and its private key.
    pub async fn read(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let seen = Mutex::new(changed(certificate, key));
        let (chain, secret) = read_both(certificate, key).await?;
        let config = RustlsConfig::from_pem(chain, secret)
            .await
            .with_context(|| unusable(certificate, key))?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            config,
            seen,
        })
    }

    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Reads the files anew if they changed. Connections that are open go on under the certificate they began with.
    pub(crate) async fn refresh(&self) {
        let changed = changed(&self.certificate, &self.key);
        {
            let mut seen = self
                .seen
                .lock()
                .expect("nothing panics while it holds these times");
            if *seen == changed {
                return;
            }
            *seen = changed;
        }
        match self.reload().await {
            Ok(()) => tracing::info!("the TLS certificate was read anew"),
            Err(fault) => tracing::error!("{fault:#}; the certificate before it stays in use"),
        }
    }

    async fn reload(&self) -> anyhow::Result<()> {
        let (chain, secret) = read_both(&self.certificate, &self.key).await?;
        self.config
            .reload_from_pem(chain, secret)
            .await
            .with_context(|| unusable(&self.certificate, &self.key))
    }
}

async fn read_both(certificate: &Path, key: &Path) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let read = async |file: &Path| {
        let content: io::Result<_> = tokio::fs::read(file).await;
        content.with_context(|| format!("cannot read {}", file.display()))
    };
    Ok((read(certificate).await?, read(key).await?))
}

fn unusable(certificate: &Path, key: &Path) -> String {
    format!(
        "{} and {} are not a certificate and its key in PEM",
        certificate.display(),
        key.display()
    )
}

fn changed(certificate: &Path, key: &Path) -> Changed {
    [certificate, key].map(|file| std::fs::metadata(file).and_then(|facts| facts.modified()).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn files_that_cannot_be_used_change_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        let tls = Tls::read(&certificate, &key).await.expect("TLS");
        let before = tls.config.get_inner();

        std::fs::write(&certificate, "no certificate").expect("a file");
        tls.refresh().await;
        assert!(Arc::ptr_eq(&before, &tls.config.get_inner()));
        let fault = Tls::read(&certificate, &key).await.err().expect("no certificate");
        assert!(format!("{fault:#}").contains("certificate.pem"), "{fault:#}");

        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        tls.refresh().await;
        assert!(!Arc::ptr_eq(&before, &tls.config.get_inner()));
    }
}
