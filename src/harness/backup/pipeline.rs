//! What is stored goes through zstd and age, as a stream: never a whole backup in memory.

use super::super::error::{Error, Outcome};
use crate::model::event::FailureClass;
use age::stream::{StreamReader, StreamWriter};
use age::x25519::{Identity, Recipient};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Read, Write};
use tokio::sync::mpsc;

/// Compression level: what is measured is the recovery, so decompression speed and ratio at little cost.
const ZSTD_LEVEL: i32 = 1;

/// The key of what is stored.
#[derive(Clone)]
pub struct Key {
    identity: Identity,
}

impl Key {
    /// A key for one run, gone with it.
    pub fn ephemeral() -> Key {
        Key { identity: Identity::generate() }
    }

    /// Reads an `AGE-SECRET-KEY-1…` line; comments and blank lines around it are allowed.
    pub fn parse(text: &str) -> Option<Key> {
        let line = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'))?;
        line.parse().ok().map(|identity| Key { identity })
    }

    /// The public half: safe to show.
    pub fn recipient(&self) -> Recipient {
        self.identity.to_public()
    }
}

/// What is done to bytes before they are stored.
#[derive(Clone)]
pub struct Sealing {
    /// zstd, or nothing.
    pub compress: bool,
    /// age, or nothing.
    pub key: Option<Key>,
}

/// A writer that compresses and encrypts into `W`.
pub enum Sealer<W: Write> {
    /// zstd, then age.
    Both(zstd::Encoder<'static, StreamWriter<W>>),
    /// age only.
    Age(StreamWriter<W>),
    /// zstd only.
    Zstd(zstd::Encoder<'static, W>),
    /// As it is.
    Plain(W),
}

impl<W: Write> Sealer<W> {
    /// Begins a sealed stream.
    pub fn new(sealing: &Sealing, out: W) -> io::Result<Sealer<W>> {
        let Some(key) = &sealing.key else {
            return Ok(if sealing.compress { Sealer::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?) } else { Sealer::Plain(out) });
        };
        let recipient = key.recipient();
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let writer = encryptor.wrap_output(out)?;
        Ok(if sealing.compress { Sealer::Both(zstd::Encoder::new(writer, ZSTD_LEVEL)?) } else { Sealer::Age(writer) })
    }

    /// Writes what is still held back and gives the output back.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Sealer::Both(z) => z.finish()?.finish(),
            Sealer::Age(a) => a.finish(),
            Sealer::Zstd(z) => z.finish(),
            Sealer::Plain(w) => Ok(w),
        }
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sealer::Both(w) => w.write(bytes),
            Sealer::Age(w) => w.write(bytes),
            Sealer::Zstd(w) => w.write(bytes),
            Sealer::Plain(w) => w.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sealer::Both(w) => w.flush(),
            Sealer::Age(w) => w.flush(),
            Sealer::Zstd(w) => w.flush(),
            Sealer::Plain(w) => w.flush(),
        }
    }
}

/// Opens a sealed stream. What it is sealed with is told by its own first bytes, as anyone would who finds it.
pub fn open<'r>(stored: impl Read + Send + 'r, key: Option<&Key>) -> Outcome<Box<dyn Read + Send + 'r>> {
    let mut stored = BufReader::with_capacity(64 << 10, stored);
    let cipher = cipher_of(peek(&mut stored)?);
    let plain: Box<dyn Read + Send + 'r> = match (cipher, key) {
        ("age", Some(key)) => Box::new(decrypt(stored, key)?),
        ("age", None) => return Err(Error::failed(FailureClass::WrongKey, "the object is encrypted with age, and no key is given")),
        _ => Box::new(stored),
    };
    let mut plain = BufReader::with_capacity(128 << 10, plain);
    let head = peek(&mut plain)?;
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(plain).map_err(corrupt)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(plain))
}

fn peek<R: Read>(reader: &mut BufReader<R>) -> Outcome<&[u8]> {
    reader.fill_buf().map_err(corrupt)
}

fn decrypt<R: Read>(stored: R, key: &Key) -> Outcome<StreamReader<R>> {
    let decryptor = age::Decryptor::new(stored)
        .map_err(|e| Error::failed(FailureClass::ObjectCorrupt, format!("the object's age header cannot be read: {e}")))?;
    decryptor.decrypt(std::iter::once(&key.identity as &dyn age::Identity)).map_err(|e| match e {
        age::DecryptError::NoMatchingKeys | age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => {
            Error::failed(FailureClass::WrongKey, "the object was encrypted with another key")
        }
        other => Error::failed(FailureClass::ObjectCorrupt, format!("the object cannot be decrypted: {other}")),
    })
}

/// An error while opening what was stored: damage, unless the store itself did not answer.
pub fn corrupt(e: io::Error) -> Error {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<StoreTrouble>()) {
        Some(trouble) => Error::failed(FailureClass::StoreUnavailable, trouble.0.clone()),
        None => Error::failed(FailureClass::ObjectCorrupt, format!("a stored object is damaged: {e}")),
    }
}

/// A failed transfer inside of a stream, to be told from damaged content.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreTrouble(pub String);

/// What encrypts some stored bytes, by their header: `age`, `openpgp`, `openssl` or `none`. Entropy proves nothing.
pub fn cipher_of(head: &[u8]) -> &'static str {
    if head.starts_with(b"age-encryption.org/v1\n") || head.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        "age"
    } else if head.starts_with(b"-----BEGIN PGP MESSAGE-----") || is_openpgp(head) {
        "openpgp"
    } else if head.starts_with(b"Salted__") {
        "openssl"
    } else {
        "none"
    }
}

/// A binary OpenPGP message begins with a public-key (tag 1) or symmetric-key (tag 3) encrypted session key
/// packet whose version follows (RFC 9580, section 5.1 and 5.3).
fn is_openpgp(head: &[u8]) -> bool {
    let Some(&first) = head.first() else { return false };
    let (tag, body) = match first {
        0xc0..=0xff => (first & 0x3f, if head.get(1).is_some_and(|l| *l < 192) { 2 } else { 3 }),
        0x80..=0xbf => ((first >> 2) & 0x0f, [2usize, 3, 5, 1][(first & 3) as usize]),
        _ => return false,
    };
    match (tag, head.get(body)) {
        (1, Some(version)) => matches!(version, 3 | 6),
        (3, Some(version)) => matches!(version, 4..=6),
        _ => false,
    }
}

/// Reads pieces from a channel, in a blocking thread.
pub struct ChannelReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl ChannelReader {
    /// Reads what comes through `receiver`.
    pub fn new(receiver: mpsc::Receiver<io::Result<Bytes>>) -> ChannelReader {
        ChannelReader { receiver, current: Bytes::new() }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.current = piece,
                Some(Err(e)) => return Err(e),
                None => return Ok(0),
            }
        }
        let n = out.len().min(self.current.len());
        out[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}

/// Cuts a stream into parts for the store, hashing it on the way.
pub struct Parts {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
    sent: usize,
    hash: Sha256,
    /// Bytes written so far.
    pub bytes: u64,
}

/// The least that S3 takes as a part that is not the last.
pub const PART: usize = 5 << 20;
/// Parts of the least size; later ones are larger, since there can be only 10 000 of them.
const SMALL_PARTS: usize = 2000;

impl Parts {
    /// Sends each part through `sender`.
    pub fn new(sender: mpsc::Sender<Bytes>) -> Parts {
        Parts { sender, buffer: Vec::new(), sent: 0, hash: Sha256::new(), bytes: 0 }
    }

    fn limit(&self) -> usize {
        if self.sent < SMALL_PARTS { PART } else { 8 * PART }
    }

    /// Sends the rest; gives back SHA-256 and size of all.
    pub fn finish(mut self) -> io::Result<(String, u64)> {
        self.send()?;
        Ok((crate::model::seed::hex(&self.hash.finalize()), self.bytes))
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sent += 1;
        let part = std::mem::take(&mut self.buffer);
        self.sender.blocking_send(part.into()).map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload ended early"))
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = self.limit();
        let n = bytes.len().min(limit - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        self.hash.update(&bytes[..n]);
        self.bytes += n as u64;
        if self.buffer.len() == limit {
            self.send()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(sealing: &Sealing, content: &[u8]) -> Vec<u8> {
        let mut s = Sealer::new(sealing, Vec::new()).unwrap();
        s.write_all(content).unwrap();
        s.finish().unwrap()
    }

    fn opened(stored: &[u8], key: Option<&Key>) -> Outcome<Vec<u8>> {
        let mut out = Vec::new();
        open(stored, key)?.read_to_end(&mut out).map_err(corrupt)?;
        Ok(out)
    }

    fn class(e: Error) -> FailureClass {
        match e {
            Error::Failed { class, .. } => class,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_sealing_opens_and_damage_is_told_from_a_wrong_key() {
        let content = vec![b'x'; 300_000];
        for compress in [false, true] {
            for key in [None, Some(Key::ephemeral())] {
                let stored = sealed(&Sealing { compress, key: key.clone() }, &content);
                assert_eq!(opened(&stored, key.as_ref()).unwrap(), content);
                assert_eq!(cipher_of(&stored), if key.is_some() { "age" } else { "none" });
            }
        }
        let key = Key::ephemeral();
        let stored = sealed(&Sealing { compress: true, key: Some(key.clone()) }, &content);
        assert_eq!(class(opened(&stored, Some(&Key::ephemeral())).unwrap_err()), FailureClass::WrongKey);
        assert_eq!(class(opened(&stored[..stored.len() - 1], Some(&key)).unwrap_err()), FailureClass::ObjectCorrupt);
        let mut flipped = stored.clone();
        let last = flipped.len() - 20;
        flipped[last] ^= 1;
        assert_eq!(class(opened(&flipped, Some(&key)).unwrap_err()), FailureClass::ObjectCorrupt);
    }

    #[test]
    fn ciphers_are_told_by_header() {
        assert_eq!(cipher_of(b"Salted__12345678"), "openssl");
        assert_eq!(cipher_of(&[0x8c, 0x0d, 0x04, 0x09]), "openpgp");
        assert_eq!(cipher_of(&[0x85, 0x01, 0x0c, 0x03]), "openpgp");
        assert_eq!(cipher_of(b"PGDMP\x01"), "none");
        assert_eq!(cipher_of(&[0x1f, 0x8b, 8, 0]), "none");
        assert_eq!(cipher_of(&[]), "none");
    }
}
