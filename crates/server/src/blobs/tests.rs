//! What holds of every place for images: a folder, and a bucket behind a real server of the S3 protocol.

use std::net::SocketAddr;

use futures::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use image::{ImageFormat, Rgb, RgbImage};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;

/// Each on its own empty place.
macro_rules! everywhere {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn folder() {
                let folder = tempfile::tempdir().expect("a folder");
                let place = folder.path().to_str().expect("a path");
                super::$name(crate::blobs::Blobs::open(place).expect("a folder")).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn bucket() {
                let bucket = super::Bucket::start().await;
                super::$name(bucket.blobs()).await;
            }
        }
    )+};
}

everywhere![
    what_is_added_is_given_back_whole_and_in_ranges,
    a_thumbnail_that_went_missing_is_made_once_for_all_who_ask,
    a_file_that_changes_while_it_is_read_leaves_nothing,
    what_is_no_image_leaves_nothing,
    what_was_never_added_is_missing,
];

/// A server of the S3 protocol, as long as it lives.
struct Bucket {
    at: SocketAddr,
    stop: CancellationToken,
    _files: tempfile::TempDir,
}

impl Bucket {
    async fn start() -> Self {
        let files = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(files.path().join("images")).expect("a bucket");
        let system = s3s_fs::FileSystem::new(files.path()).expect("a file system");
        let mut service = S3ServiceBuilder::new(system);
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let serve = async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve));
        Self {
            at,
            stop,
            _files: files,
        }
    }

    fn blobs(&self) -> Blobs {
        let builder = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.at))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("key")
            .with_secret_access_key("secret");
        Blobs::bucket_by(builder, "images/of/lockstep").expect("a bucket")
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn painted(width: u32, height: u32) -> Bytes {
    let pixels = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
    let mut content = std::io::Cursor::new(Vec::new());
    pixels
        .write_to(&mut content, ImageFormat::Bmp)
        .expect("an encoder");
    content.into_inner().into()
}

async fn added(blobs: &Blobs, source: &Source) -> (String, Picture) {
    let (hash, length) = blobs.hash(source).await.expect("a hash").expect("small enough");
    let added = blobs.add(source, &hash, length).await.expect("an answer");
    (hash, added.expect("a picture"))
}

async fn stored(blobs: &Blobs, hash: &str, range: Option<Range<u64>>) -> Vec<u8> {
    let mut found = blobs.content(hash, range).await.expect("the content");
    let mut bytes = Vec::new();
    while let Some(part) = found.stream.next().await {
        bytes.extend_from_slice(&part.expect("a part"));
    }
    assert_eq!(bytes.len() as u64, found.range.end - found.range.start);
    bytes
}

async fn what_is_added_is_given_back_whole_and_in_ranges(blobs: Blobs) {
    // Two parts and a bit, from a file; and one that is no part at all, from memory.
    let large = painted(2400, 2400);
    assert!(large.len() > 2 * PART);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &large).expect("a file");
    for (source, content) in [
        (Source::File(file.path().to_owned()), large),
        (Source::Memory(painted(7, 5)), painted(7, 5)),
    ] {
        let (hash, picture) = added(&blobs, &source).await;
        assert_eq!(picture.format, ImageFormat::Bmp);
        assert_eq!(hash, hex(&Sha256::digest(&content)));
        assert!(stored(&blobs, &hash, None).await == content, "the whole");
        assert_eq!(blobs.size(&hash).await.expect("a size"), content.len() as u64);
        let end = content.len();
        for range in [0..1, 5..end, end - 1..end, 0..end] {
            let asked = Some(range.start as u64..range.end as u64);
            assert!(stored(&blobs, &hash, asked).await == content[range]);
        }
        let again = added(&blobs, &source).await;
        assert_eq!(again, (hash, picture), "the same again is no harm");
    }
}

async fn a_thumbnail_that_went_missing_is_made_once_for_all_who_ask(blobs: Blobs) {
    let (hash, _) = added(&blobs, &Source::Memory(painted(640, 400))).await;
    let thumbnail = blobs.thumbnail(&hash).await.expect("a thumbnail");
    let decoded = || blobs.decoders.decoded.load(Ordering::Relaxed);
    assert_eq!(decoded(), 1, "it was made when the image came");
    blobs
        .store
        .delete(&thumbnail_key(&hash))
        .await
        .expect("it is gone");
    for made in join_all((0..8).map(|_| blobs.thumbnail(&hash))).await {
        assert_eq!(made.expect("a thumbnail"), thumbnail);
    }
    assert_eq!(decoded(), 2);
    assert!(
        blobs.making.lock().expect("not poisoned").len() <= 1,
        "nobody's turn is kept"
    );
}

async fn a_file_that_changes_while_it_is_read_leaves_nothing(blobs: Blobs) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let source = Source::File(file.path().to_owned());
    for (width, height) in [(7, 5), (2400, 2400)] {
        let mut content = painted(width, height).to_vec();
        std::fs::write(file.path(), &content).expect("a file");
        let (hash, length) = blobs.hash(&source).await.expect("a hash").expect("small enough");
        content[60] ^= 1;
        std::fs::write(file.path(), &content).expect("a file");
        let added = blobs.add(&source, &hash, length).await;
        assert!(matches!(added, Err(Trouble::Unreadable(_))), "{added:?}");
        let found = blobs.content(&hash, None).await.err();
        assert!(matches!(found, Some(Trouble::Missing)), "{found:?}");
    }
}

async fn what_is_no_image_leaves_nothing(blobs: Blobs) {
    let blobs = blobs.limited(PictureLimits {
        bytes: 1 << 20,
        ..PictureLimits::default()
    });
    let text = Source::Memory(Bytes::from_static(b"Dear all, please find attached"));
    let (hash, length) = blobs.hash(&text).await.expect("a hash").expect("small enough");
    let refused = blobs.add(&text, &hash, length).await.expect("an answer");
    assert!(matches!(refused, Err(Fault::Unknown)));
    let found = blobs.content(&hash, None).await.err();
    assert!(matches!(found, Some(Trouble::Missing)), "{found:?}");
    let long = Source::Memory(vec![0; (1 << 20) + 1].into());
    let refused = blobs.hash(&long).await.expect("an answer").expect_err("too long");
    assert_eq!(
        refused.to_string(),
        "The file is larger than 1 MiB, the most this server takes."
    );
}

async fn what_was_never_added_is_missing(blobs: Blobs) {
    blobs.reach().await.expect("it is there");
    let nothing = "00".repeat(32);
    assert!(matches!(
        blobs.content(&nothing, None).await.err(),
        Some(Trouble::Missing)
    ));
    assert!(matches!(blobs.size(&nothing).await, Err(Trouble::Missing)));
    assert!(matches!(blobs.thumbnail(&nothing).await, Err(Trouble::Missing)));
}

#[tokio::test]
async fn a_bucket_that_is_away_is_said_to_be_before_patience_ends() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = nobody.local_addr().expect("an address");
    drop(nobody);
    let builder = AmazonS3Builder::new()
        .with_endpoint(format!("http://{at}"))
        .with_allow_http(true)
        .with_access_key_id("key")
        .with_secret_access_key("secret");
    let blobs = Blobs::bucket_by(builder, "images").expect("a bucket");
    let source = Source::Memory(painted(7, 5));
    let (hash, length) = blobs.hash(&source).await.expect("a hash").expect("small enough");
    let began = std::time::Instant::now();
    let added = blobs.add(&source, &hash, length).await;
    assert!(matches!(added, Err(Trouble::Unreachable(_))), "{added:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(blobs.reach().await.is_err());
}

#[tokio::test]
async fn more_pictures_than_there_is_memory_for_are_decoded_one_after_another() {
    let folder = tempfile::tempdir().expect("a folder");
    // Room for one at a time: each takes two MiB and a half, and its file.
    let blobs = Blobs::folder(folder.path())
        .expect("a folder")
        .limited(PictureLimits {
            memory: 5 << 20,
            ..PictureLimits::default()
        });
    let adding = (0..6_u32).map(|n| {
        let blobs = &blobs;
        async move { added(blobs, &Source::Memory(painted(800 + n, 800))).await }
    });
    assert_eq!(join_all(adding).await.len(), 6);
    let source = Source::Memory(painted(1400, 1400));
    let (hash, length) = blobs.hash(&source).await.expect("a hash").expect("small enough");
    let refused = blobs.add(&source, &hash, length).await.expect("an answer");
    assert!(matches!(refused, Err(Fault::TooLarge)), "{refused:?}");
}

#[test]
fn a_place_is_a_folder_or_a_bucket() {
    assert!(Blobs::open("ftp://host/images").is_err());
    assert!(Blobs::open("s3:///no-bucket").is_err());
}
