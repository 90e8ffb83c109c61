//! Connections of every kind: with TLS, too slow, silent, and open when the server stops.

mod world;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use lockstep_server::{Front, Settings, Tls, embedded, serve_service};
use lockstep_wire::routes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use world::{PATIENCE, until};

struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
    _folder: tempfile::TempDir,
}

async fn start(settings: Settings, tls: Option<Tls>) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let service = embedded::open(folder.path(), settings).await.expect("a service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(serve_service(
        Front {
            listener,
            tls,
            metrics: None,
        },
        service,
        stopped,
    ));
    Server {
        addr,
        stop,
        serving,
        _folder: folder,
    }
}

/// A certificate for localhost that vouches for itself, and its key.
fn certify(folder: &Path) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    std::fs::write(folder.join("certificate.pem"), made.cert.pem()).expect("a file");
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate")
}

async fn tls(folder: &Path) -> anyhow::Result<Tls> {
    Tls::read(&folder.join("certificate.pem"), &folder.join("key.pem")).await
}

/// Someone who trusts this certificate alone.
fn client(trusted: reqwest::Certificate, addr: SocketAddr) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_certs_only([trusted])
        .resolve("localhost", addr)
}

#[tokio::test]
async fn tls_serves_both_versions_of_http_and_a_renewed_certificate_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = certify(folder.path());
    let server = start(Settings::default(), Some(tls(folder.path()).await.expect("TLS"))).await;
    let url = format!(
        "https://localhost:{}{}",
        server.addr.port(),
        routes::path(routes::META, &[])
    );
    for (client, version) in [
        (client(first.clone(), server.addr), reqwest::Version::HTTP_2),
        (
            client(first.clone(), server.addr).http1_only(),
            reqwest::Version::HTTP_11,
        ),
    ] {
        let answer = client.build().expect("a client").get(&url).send().await;
        let answer = answer.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    let plain = reqwest::get(url.replace("https:", "http:").replace("localhost", "127.0.0.1")).await;
    assert!(plain.is_err(), "no plain HTTP where TLS is");

    let second = certify(folder.path());
    until(async || {
        let renewed = client(second.clone(), server.addr).build().expect("a client");
        renewed.get(&url).send().await.ok()
    })
    .await;
}

/// Until the server hangs up; whatever it says before is returned.
async fn cut(mut connection: TcpStream, every: Duration, byte: u8) -> (Duration, String) {
    let began = Instant::now();
    let (mut from, mut to) = connection.split();
    let mut said = Vec::new();
    let drip = async {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            if to.write_all(&[byte]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let heard = async {
        // A reset is as good as an end.
        let _ = from.read_to_end(&mut said).await;
    };
    tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            () = drip => {}
            () = heard => {}
        }
    })
    .await
    .expect("the server hangs up");
    (began.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_client_that_sends_its_headers_a_byte_at_a_time_is_cut() {
    let header_time = Duration::from_secs(1);
    let settings = Settings {
        header_time,
        ..Settings::default()
    };
    let server = start(settings, None).await;
    for opening in [&b""[..], b"GET /healthz HTTP/1.1\r\nX-Long: "] {
        let mut connection = TcpStream::connect(server.addr).await.expect("a connection");
        connection.write_all(opening).await.expect("it listens");
        let (after, _) = cut(connection, Duration::from_millis(200), b'G').await;
        assert!(after >= header_time / 2, "{after:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_left_idle_is_closed() {
    let settings = Settings {
        header_time: Duration::from_secs(1),
        ..Settings::default()
    };
    let server = start(settings, None).await;
    let mut connection = TcpStream::connect(server.addr).await.expect("a connection");
    let request = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n";
    connection.write_all(request).await.expect("it listens");
    let mut said = Vec::new();
    let end = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut said)).await;
    assert!(end.is_ok(), "it stays open");
    assert!(said.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_sends_its_body_a_byte_at_a_time_is_cut() {
    let request_time = Duration::from_secs(1);
    let settings = Settings {
        request_time,
        ..Settings::default()
    };
    let server = start(settings, None).await;
    let mut connection = TcpStream::connect(server.addr).await.expect("a connection");
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n",
        routes::path(routes::LOGIN, &[])
    );
    connection
        .write_all(request.as_bytes())
        .await
        .expect("it listens");
    let (after, said) = cut(connection, Duration::from_millis(200), b' ').await;
    assert!(after >= request_time, "{after:?}");
    assert!(
        said.starts_with("HTTP/1.1 503") && said.contains("\r\nretry-after: "),
        "{said}"
    );
}

#[tokio::test]
async fn neither_a_silent_connection_nor_an_unfinished_handshake_holds_up_the_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path());
    for tls in [None, Some(tls(folder.path()).await.expect("TLS"))] {
        let server = start(Settings::default(), tls).await;
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(server.addr).await.expect("a connection"));
        }
        let told = Instant::now();
        server.stop.cancel();
        server.serving.await.expect("no panic").expect("a clean stop");
        assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    }
}
