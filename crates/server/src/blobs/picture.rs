//! What the server must know of a picture: that it is one, whole, its upright size, and how it looks when small.

use std::io::{self, BufRead as _, Read as _, Seek as _};

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::source::{Reader, Source};
use crate::settings::PictureLimits;

/// The longer side of a thumbnail, in pixels: the image list shows it at up to half of that, on screens of twice the
/// density.
const THUMBNAIL_SIDE: u32 = 320;
const THUMBNAIL_QUALITY: u8 = 80;

/// No format we read has larger ones that are in use.
const LONGEST_SIDE: u32 = 65_000;

/// A picture's facts, EXIF orientation applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// What the content is, whatever the file is called.
    pub format: ImageFormat,
}

impl Picture {
    /// `image/jpeg` and the like.
    pub fn media_type(&self) -> &'static str {
        self.format.to_mime_type()
    }

    /// What a file is called where its content is of another kind, if it is.
    pub fn misnomer(&self, file_name: &str) -> Option<&'static str> {
        let called = ImageFormat::from_path(file_name).ok()?;
        (called != self.format).then(|| name_of(called))
    }

    /// As people call it.
    pub fn format_name(&self) -> &'static str {
        name_of(self.format)
    }
}

fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        _ => "image of another kind",
    }
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
    /// It has more pixels than are allowed, so many.
    #[error("The image has {width} × {height} pixels; this server takes no more than {} megapixels.", most / 1_000_000)]
    TooManyPixels {
        /// Of the image.
        width: u32,
        /// Of the image.
        height: u32,
        /// Of any image.
        most: u64,
    },
    /// The file is longer than is allowed, so much.
    #[error("The file is larger than {} MiB, the most this server takes.", .0 >> 20)]
    TooManyBytes(u64),
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

/// Reads a picture's header alone: the memory that decoding it takes, or why it may not be.
pub(super) fn look(source: &Source, limits: &PictureLimits) -> io::Result<Result<u64, Fault>> {
    let reader = source.read()?;
    Ok(begin(reader, limits).map(|(decoder, _)| decoder.total_bytes() / 4 * 5))
}

/// Decodes a whole picture; gives its facts and its thumbnail, a JPEG.
pub(super) fn decode(
    source: &Source,
    limits: &PictureLimits,
) -> io::Result<Result<(Picture, Vec<u8>), Fault>> {
    let reader = source.read()?;
    if let Err(fault) = check_whole(source)? {
        return Ok(Err(fault));
    }
    Ok(begin(reader, limits).and_then(|(decoder, format)| finish(decoder, format)))
}

/// Nothing is decoded yet.
fn begin<'a>(
    reader: Box<dyn Reader + 'a>,
    most: &PictureLimits,
) -> Result<(impl ImageDecoder + 'a, ImageFormat), Fault> {
    let mut reader = ImageReader::new(reader)
        .with_guessed_format()
        .map_err(|_| Fault::Unknown)?;
    let format = reader.format().ok_or(Fault::Unknown)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(most.memory);
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most.pixels {
        return Err(Fault::TooManyPixels {
            width,
            height,
            most: most.pixels,
        });
    }
    // The decoder's own limits are for its scratch space; the picture itself is counted here.
    limits.reserve(decoder.total_bytes())?;
    Ok((decoder, format))
}

fn finish(mut decoder: impl ImageDecoder, format: ImageFormat) -> Result<(Picture, Vec<u8>), Fault> {
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
            format,
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

/// Decoders paint what is missing of a JPEG grey and say nothing, so its end is looked for.
fn check_whole(source: &Source) -> io::Result<Result<(), Fault>> {
    let mut reader = source.read()?;
    let mut start = [0; 2];
    let begins = match reader.read_exact(&mut start) {
        Ok(()) => start,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(Fault::Unknown)),
        Err(error) => return Err(error),
    };
    if begins != [0xFF, 0xD8] {
        return Ok(Ok(()));
    }
    match jpeg_ends(reader) {
        Ok(true) => Ok(Ok(())),
        Ok(false) => Ok(Err(Fault::CutOff)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(Fault::CutOff)),
        Err(error) => Err(error),
    }
}

/// Whether a JPEG's compressed data comes to its end marker. Segments are stepped over by their length: an embedded
/// thumbnail has an end marker too.
fn jpeg_ends(mut reader: Box<dyn Reader>) -> io::Result<bool> {
    const START_OF_SCAN: u8 = 0xDA;
    loop {
        let mut marker = [0; 2];
        reader.read_exact(&mut marker)?;
        while marker == [0xFF, 0xFF] {
            reader.read_exact(&mut marker[1..])?;
        }
        let [0xFF, kind] = marker else { return Ok(false) };
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        let rest = i64::from(u16::from_be_bytes(length)) - 2;
        reader.seek_relative(rest)?;
        if kind == START_OF_SCAN {
            break;
        }
    }
    // Inside compressed data 0xFF is always followed by 0 or a restart marker, so this is the real end.
    let mut after_ff = false;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(false);
        }
        if (after_ff && chunk[0] == 0xD9) || chunk.windows(2).any(|pair| pair == [0xFF, 0xD9]) {
            return Ok(true);
        }
        after_ff = chunk.last() == Some(&0xFF);
        let read = chunk.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use image::{ImageEncoder as _, Rgb, RgbImage};

    fn decode(content: &[u8]) -> Result<(Picture, Vec<u8>), Fault> {
        let (source, limits) = (Source::Memory(content.to_vec().into()), PictureLimits::default());
        let looked = look(&source, &limits).expect("memory can be read");
        let decoded = super::decode(&source, &limits).expect("memory can be read");
        if let (Err(_), Ok(_)) = (&looked, &decoded) {
            panic!("the header was refused and the picture taken");
        }
        decoded
    }

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
                format: ImageFormat::Png
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

    const FORMATS: [ImageFormat; 6] = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Gif,
    ];

    #[test]
    fn every_format_is_read_whatever_it_is_called() {
        for format in FORMATS {
            let (picture, thumbnail) = decode(&painted(format)).expect("a picture");
            assert_eq!(
                (picture.width, picture.height, picture.format),
                (640, 400, format)
            );
            let small = image::load_from_memory(&thumbnail).expect("a JPEG");
            assert_eq!((small.width(), small.height()), (320, 200), "{format:?}");
        }
        let (picture, _) = decode(&painted(ImageFormat::Jpeg)).expect("a picture");
        assert_eq!(picture.misnomer("a.png"), Some("PNG"));
        assert_eq!(picture.misnomer("a.JPG"), None);
        assert_eq!(picture.misnomer("scan"), None, "it is not called anything");
    }

    #[test]
    fn a_picture_that_is_cut_off_is_refused_wherever_it_is_cut() {
        for format in FORMATS {
            let whole = painted(format);
            for part in [0, 1, 3, 10, 50, 90] {
                let cut = &whole[..whole.len() * part / 100];
                assert!(decode(cut).is_err(), "{format:?} cut at {part} %");
            }
        }
    }

    /// Encoded in memory, whatever the pixels are made of.
    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut content = Cursor::new(Vec::new());
        picture.write_to(&mut content, format).expect("an encoder");
        content.into_inner()
    }

    /// The colour in the middle of a thumbnail.
    fn middle(thumbnail: &[u8]) -> [u8; 3] {
        let small = image::load_from_memory(thumbnail).expect("a JPEG").to_rgb8();
        small.get_pixel(small.width() / 2, small.height() / 2).0
    }

    fn about(color: [u8; 3], expected: [u8; 3]) -> bool {
        let near = |(one, other): (u8, u8)| one.abs_diff(other) <= 6;
        color.into_iter().zip(expected).all(near)
    }

    #[test]
    fn sixteen_bits_grey_and_transparent_pixels_survive() {
        use image::{ImageBuffer, Luma, LumaA, Rgba};
        let pictures = [
            (
                DynamicImage::ImageLuma8(ImageBuffer::from_pixel(9, 6, Luma([100]))),
                100,
            ),
            (
                DynamicImage::ImageLuma16(ImageBuffer::from_pixel(9, 6, Luma([100 << 8]))),
                100,
            ),
            (
                DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(9, 6, LumaA([100, 255]))),
                100,
            ),
            (
                DynamicImage::ImageRgb16(ImageBuffer::from_pixel(9, 6, Rgb([100 << 8; 3]))),
                100,
            ),
            (
                DynamicImage::ImageRgba16(ImageBuffer::from_pixel(9, 6, Rgba([100 << 8; 4]))),
                100,
            ),
        ];
        for (picture, grey) in pictures {
            let kind = picture.color();
            let (facts, thumbnail) = decode(&encoded(&picture, ImageFormat::Png)).expect("a picture");
            assert_eq!((facts.width, facts.height), (9, 6), "{kind:?}");
            assert!(about(middle(&thumbnail), [grey; 3]), "{kind:?}");
        }
        let deep = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(9, 6, Rgb([200 << 8, 0, 0])));
        let (_, thumbnail) = decode(&encoded(&deep, ImageFormat::Tiff)).expect("a picture");
        assert!(about(middle(&thumbnail), [200, 0, 0]));
    }

    /// A TIFF of eight by eight pixels without compression, written by hand: its samples, and what they mean.
    fn tiff(samples: u16, photometric: u16, orientation: u16, pixel: &[u8]) -> Vec<u8> {
        let data: Vec<u8> = pixel.repeat(8 * 4);
        let mut content = b"II*\0".to_vec();
        let directory = 8 + data.len() as u32 + 8;
        content.extend(directory.to_le_bytes());
        content.extend(&data);
        let bits = content.len() as u32;
        content.extend([8_u16; 4].iter().flat_map(|bits| bits.to_le_bytes()));
        let (short, long) = (3_u16, 4_u16);
        let bits_per_sample = if samples > 2 { bits } else { 8 };
        let entries: [(u16, u16, u32, u32); 10] = [
            (256, short, 1, 8),
            (257, short, 1, 4),
            (258, short, samples.into(), bits_per_sample),
            (259, short, 1, 1),
            (262, short, 1, photometric.into()),
            (273, long, 1, 8),
            (274, short, 1, orientation.into()),
            (277, short, 1, samples.into()),
            (278, short, 1, 4),
            (279, long, 1, data.len() as u32),
        ];
        content.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            content.extend(tag.to_le_bytes());
            content.extend(kind.to_le_bytes());
            content.extend(count.to_le_bytes());
            content.extend(value.to_le_bytes());
        }
        content.extend([0; 4]);
        content
    }

    #[test]
    fn the_four_inks_of_a_printer_survive() {
        // All the cyan there is, and nothing else.
        let (facts, thumbnail) = decode(&tiff(4, 5, 1, &[255, 0, 0, 0])).expect("a picture");
        assert_eq!((facts.width, facts.height), (8, 4));
        let [red, green, blue] = middle(&thumbnail);
        assert!(red < 40 && green > 100 && blue > 150, "{red} {green} {blue}");
        // The same as a printer's JPEG, which no encoder here writes.
        let (facts, thumbnail) = decode(include_bytes!("cyan_ink.jpg")).expect("a picture");
        assert_eq!((facts.width, facts.height), (16, 8));
        let [red, green, blue] = middle(&thumbnail);
        assert!(red < 60 && green > 100 && blue > 150, "{red} {green} {blue}");
    }

    #[test]
    fn a_tiff_that_lies_on_its_side_is_put_upright() {
        let (facts, thumbnail) = decode(&tiff(1, 1, 6, &[100])).expect("a picture");
        assert_eq!((facts.width, facts.height), (4, 8));
        assert!(about(middle(&thumbnail), [100; 3]));
    }

    #[test]
    fn of_an_animation_the_first_picture_counts() {
        use image::{Frame, Rgba, RgbaImage};
        let mut content = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut content);
        for color in [[200, 0, 0, 255], [0, 0, 200, 255]] {
            let frame = Frame::new(RgbaImage::from_pixel(20, 10, Rgba(color)));
            encoder.encode_frame(frame).expect("an encoder");
        }
        drop(encoder);
        let (facts, thumbnail) = decode(&content).expect("a picture");
        assert_eq!((facts.width, facts.height), (20, 10));
        assert!(about(middle(&thumbnail), [200, 0, 0]));
    }

    #[test]
    fn a_small_file_that_claims_to_be_a_huge_picture_is_refused_before_it_takes_memory() {
        // Unpacked, 65,000 × 65,000 grey pixels are 4 GiB; the file itself is a few dozen bytes.
        let bmp = |side: u32| {
            let mut content = b"BM\0\0\0\0\0\0\0\0\x36\x04\0\0\x28\0\0\0".to_vec();
            content.extend(side.to_le_bytes());
            content.extend(side.to_le_bytes());
            content.extend([1, 0, 8, 0]);
            content.extend([0; 24]);
            content.extend([0; 1024]);
            content
        };
        let refused = decode(&bmp(65_000));
        assert!(matches!(refused, Err(Fault::TooManyPixels { .. })), "{refused:?}");
        let source = Source::Memory(bmp(10_000).into());
        let limits = PictureLimits {
            memory: 64 << 20,
            ..PictureLimits::default()
        };
        let looked = look(&source, &limits).expect("memory can be read");
        assert!(matches!(looked, Err(Fault::TooLarge)), "{looked:?}");
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
