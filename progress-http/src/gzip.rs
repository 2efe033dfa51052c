//! The widget's files, compressed for clients that accept gzip.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::tag;
use crate::widget::{FILES, File};

#[derive(Debug)]
pub(crate) struct Gzipped {
    pub(crate) bytes: Vec<u8>,
    /// The tag of the compressed bytes, not of the content: two builds may compress the same
    /// content differently.
    pub(crate) etag: String,
}

/// In the order of [`FILES`]; compressed once, on the first request.
static GZIPPED: LazyLock<[Option<Gzipped>; FILES.len()]> =
    LazyLock::new(|| FILES.map(|file| compress(&file)));

/// Returns the compressed file; `None` if compression failed.
pub(crate) fn compressed(file: &File) -> Option<&'static Gzipped> {
    let index = FILES.iter().position(|known| known.name == file.name)?;
    GZIPPED[index].as_ref()
}

fn compress(file: &File) -> Option<Gzipped> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(file.content.as_bytes()).ok()?;
    let bytes = encoder.finish().ok()?;
    let etag = tag::of_bytes(&bytes);
    Some(Gzipped { bytes, etag })
}
