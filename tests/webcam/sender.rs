//! The peers: ffmpeg and GStreamer, sending each payload type (TOOLS.md 6).

use std::path::Path;

use crate::{
    picture::{HEIGHT, WIDTH},
    session::REGISTRY,
    support::child::Child,
};

/// A payload type as the two programs are told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) payload_type: u8,
    /// ffmpeg's name of the raw format.
    pub(crate) format: &'static str,
    /// The ending of a recording's name.
    pub(crate) extension: &'static str,
    /// JPEG has the full range of brightness.
    pub(crate) pixels: &'static str,
    /// Pictures in a group: the first of each can be decoded without those before it.
    pub(crate) group: usize,
    ffmpeg: &'static [&'static str],
    gstreamer: &'static str,
}

pub(crate) const JPEG: Kind = Kind {
    payload_type: 26,
    format: "mjpeg",
    extension: "mjpeg",
    pixels: "yuvj420p",
    group: 1,
    ffmpeg: &[
        "-c:v",
        "mjpeg",
        "-q:v",
        "3",
        "-huffman",
        "default",
        "-force_duplicated_matrix",
        "1",
    ],
    gstreamer: "jpegenc ! rtpjpegpay mtu=1200",
};
pub(crate) const H261: Kind = Kind {
    payload_type: 31,
    format: "h261",
    extension: "h261",
    pixels: "yuv420p",
    group: 5,
    ffmpeg: &["-c:v", "h261", "-q:v", "3", "-g", "5"],
    gstreamer: "avenc_h261 pass=quant quantizer=3 gop-size=5 ! rtph261pay mtu=1200",
};
pub(crate) const MPV: Kind = Kind {
    payload_type: 32,
    format: "mpegvideo",
    extension: "mpg",
    pixels: "yuv420p",
    group: 5,
    ffmpeg: &["-c:v", "mpeg1video", "-q:v", "3", "-g", "5"],
    gstreamer: "mpeg2enc format=3 bitrate=4000 min-gop-size=5 max-gop-size=5 ! mpegvideoparse ! rtpmpvpay mtu=1200",
};
pub(crate) const H263: Kind = Kind {
    payload_type: 34,
    format: "h263",
    extension: "h263",
    pixels: "yuv420p",
    group: 5,
    ffmpeg: &["-c:v", "h263", "-q:v", "3", "-g", "5", "-ps", "1"],
    // Half of the packets are mode B of RFC 2190 then, cut in the middle of a byte.
    gstreamer: "avenc_h263 pass=quant quantizer=3 gop-size=5 ps=1 ! rtph263pay mtu=1200",
};

/// Only the first picture can be shown without the ones before.
pub(crate) const LONG_MPV: Kind = Kind {
    group: 250,
    ffmpeg: &["-c:v", "mpeg1video", "-q:v", "3", "-g", "250"],
    ..MPV
};
pub(crate) const LONG_H263: Kind = Kind {
    group: 250,
    ffmpeg: &["-c:v", "h263", "-q:v", "3", "-g", "250", "-ps", "1"],
    ..H263
};

/// Not one of the four: the bridge must say what it is.
pub(crate) const H263_1998: Kind = Kind {
    payload_type: 97,
    format: "h263",
    extension: "pcap",
    pixels: "yuv420p",
    group: 5,
    ffmpeg: &["-c:v", "h263p", "-q:v", "3", "-g", "5"],
    gstreamer: "",
};

/// A program that sends a film to a port of this machine.
pub(crate) type Sender = fn(&Kind, film: &Path, port: u16, dir: &Path) -> Child;

/// ffmpeg sends the film to the port of this machine, with reports, and a BYE at the end.
pub(crate) fn ffmpeg(kind: &Kind, film: &Path, port: u16, dir: &Path) -> Child {
    let size = format!("{WIDTH}x{HEIGHT}");
    let payload_type = kind.payload_type.to_string();
    let to = format!("rtp://127.0.0.1:{port}?pkt_size=1200");
    let flags = if kind.payload_type == 34 {
        "rfc2190+send_bye"
    } else {
        "send_bye"
    };
    let input = [
        "-nostdin",
        "-re",
        "-f",
        "rawvideo",
        "-pix_fmt",
        kind.pixels,
        "-s",
        &size,
        "-r",
        "25",
        "-i",
        film.to_str().unwrap(),
    ];
    let output = [
        "-strict",
        "-2",
        "-payload_type",
        &payload_type,
        "-rtpflags",
        flags,
        "-f",
        "rtp",
        &to,
    ];
    let args = [&input, kind.ffmpeg, &output].concat();
    Child::start("ffmpeg", args, dir)
}

/// GStreamer does. Its session manager sends the reports.
pub(crate) fn gstreamer(kind: &Kind, film: &Path, port: u16, dir: &Path) -> Child {
    let pipeline = format!(
        "rtpbin name=session \
         filesrc location={film} ! rawvideoparse width={WIDTH} height={HEIGHT} format=i420 \
         framerate=25/1 ! {coding} ! session.send_rtp_sink_0 \
         session.send_rtp_src_0 ! udpsink host=127.0.0.1 port={port} \
         session.send_rtcp_src_0 ! udpsink host=127.0.0.1 port={rtcp} sync=false async=false",
        film = film.display(),
        coding = kind.gstreamer,
        rtcp = port + 1,
    );
    let registry = format!("GST_REGISTRY={REGISTRY}");
    let args = [registry.as_str(), "gst-launch-1.0", "-q"];
    let args = args.into_iter().chain(pipeline.split_whitespace());
    Child::start("env", args, dir)
}
