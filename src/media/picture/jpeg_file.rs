//! A JPEG picture as a file: what RTP leaves out of it is put in again (RFC 2435 appendix B).

use super::jpeg_tables::HUFFMAN;

/// The main header (section 3.1), and the one of restart markers (3.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// 0: colour at half the width; 1: at half the width and height. Without the 64 that says
    /// there are restart markers.
    pub(super) kind: u8,
    pub(super) quality: u8,
    /// In blocks of 8.
    pub(super) width: u8,
    pub(super) height: u8,
    pub(super) restart_interval: Option<u16>,
}

/// Quantisation tables: two of 64 values, each value of one byte or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tables(pub(super) [Vec<u8>; 2]);

/// A scan as a file, with the headers of appendix B.
#[must_use]
pub(super) fn file(shape: Shape, tables: &Tables, scan: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8];
    // JFIF 1.1, no density, no thumbnail: without it some take the colours for RGB.
    segment(&mut out, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for (number, table) in (0_u8..).zip(&tables.0) {
        let wide = if table.len() > 64 { 0x10 } else { 0 };
        segment(
            &mut out,
            0xdb,
            &[&[wide | number], table.as_slice()].concat(),
        );
    }
    if let Some(interval) = shape.restart_interval {
        segment(&mut out, 0xdd, &interval.to_be_bytes());
    }
    let [h1, h2] = (u16::from(shape.height) * 8).to_be_bytes();
    let [w1, w2] = (u16::from(shape.width) * 8).to_be_bytes();
    let sampling = if shape.kind == 0 { 0x21 } else { 0x22 };
    // Three components; the second and the third are colour.
    let frame = [8, h1, h2, w1, w2, 3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1];
    segment(&mut out, 0xc0, &frame);
    for table in &HUFFMAN {
        let body = [&[table.kind], table.lengths.as_slice(), table.values].concat();
        segment(&mut out, 0xc4, &body);
    }
    segment(&mut out, 0xda, &[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]);
    out.extend_from_slice(scan);
    if !scan.ends_with(&[0xff, 0xd9]) {
        out.extend([0xff, 0xd9]);
    }
    out
}

/// A marker with its length and its contents, which are short.
fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).unwrap_or(u16::MAX);
    out.extend([0xff, marker]);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(body);
}
