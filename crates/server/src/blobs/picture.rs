//! What the server must know of a picture: that it is one, whole, its upright size, and how it looks when small.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

/// The longer side of a thumbnail, in pixels: the image list shows it at up to half of that, on screens of twice the
/// density.
const THUMBNAIL_SIDE: u32 = 320;
const THUMBNAIL_QUALITY: u8 = 80;

/// A larger picture would need more memory than a small server has.
const MOST_MEMORY: u64 = 1 << 30;
const LONGEST_SIDE: u32 = 65_000;

/// A picture's facts, EXIF orientation applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// `image/jpeg` and the like.
    pub media_type: &'static str,
}

/// Why something is no picture; a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// None of the formats we know.
    #[error("This is not an image of a kind Lockstep reads (JPEG, PNG, WebP, TIFF, BMP, GIF).")]
    Unknown,
    /// It begins like a picture, but ends too early.
    #[error("The image is cut off: the end of the file is missing.")]
    CutOff,
    /// It begins like a picture, but cannot be decoded.
    #[error("The image is damaged: {0}")]
    Damaged(String),
    /// It would take more memory than is allowed.
    #[error("The image is too large to be decoded.")]
    TooLarge,
}

impl From<image::ImageError> for Fault {
    fn from(error: image::ImageError) -> Self {
        match error {
            image::ImageError::Limits(_) => Self::TooLarge,
            image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::CutOff
            }
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// Decodes a whole picture; gives its facts and its thumbnail, a JPEG.
pub(super) fn decode(content: &[u8]) -> Result<(Picture, Vec<u8>), Fault> {
    let mut reader = ImageReader::new(Cursor::new(content))
        .with_guessed_format()
        .map_err(|_| Fault::Unknown)?;
    let format = reader.format().ok_or(Fault::Unknown)?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(content) {
        return Err(Fault::CutOff);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // The decoder's own limits are for its scratch space; the picture itself is counted here.
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;

    // Turned when it is small: the same picture for a hundredth of the work.
    let mut small = if picture.width().max(picture.height()) > THUMBNAIL_SIDE {
        picture.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    } else {
        std::mem::take(&mut picture)
    };
    let (width, height) = match picture.width() {
        0 => (small.width(), small.height()),
        width => (width, picture.height()),
    };
    small.apply_orientation(orientation);
    let mut thumbnail = Vec::new();
    small
        .to_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(&mut thumbnail, THUMBNAIL_QUALITY))?;

    let (width, height) = if lies_on_its_side(orientation) {
        (height, width)
    } else {
        (width, height)
    };
    Ok((
        Picture {
            width,
            height,
            media_type: format.to_mime_type(),
        },
        thumbnail,
    ))
}

fn lies_on_its_side(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Whether a JPEG's compressed data comes to its end marker. Decoders paint what is missing grey and say nothing, so
/// this is the only way to tell. Segments are stepped over by their length: an embedded thumbnail has an end marker too.
fn jpeg_is_whole(content: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END: [u8; 2] = [0xFF, 0xD9];
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = content.get(at..at + 4).and_then(|four| four.first_chunk()) {
        if marker == 0xFF {
            at += 1;
            continue;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            // Inside compressed data 0xFF is always followed by 0 or a restart marker, so this is the real end.
            return content
                .get(at..)
                .is_some_and(|data| data.windows(2).any(|pair| pair == END));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageEncoder as _, Rgb, RgbImage};

    fn painted(format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(640, 400, |x, y| Rgb([(x % 251) as u8, (y % 241) as u8, 120]));
        let mut content = Cursor::new(Vec::new());
        picture.write_to(&mut content, format).expect("an encoder");
        content.into_inner()
    }

    #[test]
    fn a_pictures_size_kind_and_thumbnail_are_known() {
        let (picture, thumbnail) = decode(&painted(ImageFormat::Png)).expect("a picture");
        assert_eq!(
            picture,
            Picture {
                width: 640,
                height: 400,
                media_type: "image/png"
            }
        );
        let small = image::load_from_memory(&thumbnail).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (320, 200));
    }

    #[test]
    fn a_picture_that_lies_on_its_side_is_put_upright() {
        let pixels = RgbImage::from_pixel(640, 400, Rgb([200, 10, 10]));
        let mut content = Vec::new();
        let mut encoder = JpegEncoder::new(&mut content);
        // A TIFF header and one entry: orientation (0x0112), a short, 6: turn clockwise by 90 degrees.
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
        encoder.set_exif_metadata(exif).expect("EXIF");
        encoder.encode_image(&pixels).expect("a JPEG");

        let (picture, thumbnail) = decode(&content).expect("a picture");
        assert_eq!((picture.width, picture.height), (400, 640));
        let small = image::load_from_memory(&thumbnail).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (200, 320));
    }

    #[test]
    fn a_picture_that_is_cut_off_is_refused_wherever_it_is_cut() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let whole = painted(format);
            for part in [3, 10, 50, 90, 99] {
                let cut = &whole[..whole.len() * part / 100];
                assert!(decode(cut).is_err(), "{format:?} cut at {part} %");
            }
        }
    }

    #[test]
    fn a_small_file_that_claims_to_be_a_huge_picture_is_refused_before_it_takes_memory() {
        // Unpacked, 65,000 × 65,000 grey pixels are 4 GiB; the file itself is a few dozen bytes.
        let mut content = b"BM\0\0\0\0\0\0\0\0\x36\x04\0\0\x28\0\0\0".to_vec();
        content.extend(65_000_u32.to_le_bytes());
        content.extend(65_000_u32.to_le_bytes());
        content.extend([1, 0, 8, 0]);
        content.extend([0; 24]);
        content.extend([0; 1024]);
        assert!(matches!(decode(&content), Err(Fault::TooLarge)));
    }

    #[test]
    fn a_text_is_no_picture() {
        assert!(matches!(
            decode(b"Dear all, please find attached"),
            Err(Fault::Unknown)
        ));
        assert!(matches!(decode(b""), Err(Fault::Unknown)));
    }

    #[test]
    fn a_tiny_picture_is_not_blown_up() {
        let mut content = Cursor::new(Vec::new());
        RgbImage::new(7, 5)
            .write_to(&mut content, ImageFormat::Png)
            .expect("an encoder");
        let (picture, thumbnail) = decode(&content.into_inner()).expect("a picture");
        assert_eq!((picture.width, picture.height), (7, 5));
        assert_eq!(image::load_from_memory(&thumbnail).expect("a JPEG").width(), 7);
    }
}
