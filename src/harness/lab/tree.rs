//! Where the files of a restored base backup go: a directory of ours, or a container's volume.

use super::super::error::{Doing, Outcome};
use super::super::process::User;
use bytes::Bytes;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use tokio::sync::mpsc;

/// Takes files and directories, from a blocking thread.
pub enum TreeSink {
    /// A directory on this machine.
    Local {
        /// The data directory.
        root: PathBuf,
        /// Its owner, if it is not us.
        user: Option<User>,
    },
    /// A tar stream into a container.
    Stream {
        /// The archive being written.
        builder: Box<tar::Builder<Pieces>>,
        /// Owner inside the container.
        user: User,
        /// The upload.
        done: tokio::task::JoinHandle<Outcome<()>>,
    },
}

/// Writes into a channel in pieces.
pub struct Pieces {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

const PIECE: usize = 256 << 10;

impl Pieces {
    /// A writer into a channel.
    pub fn new(sender: mpsc::Sender<Bytes>) -> Pieces {
        Pieces { sender, buffer: Vec::with_capacity(PIECE) }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(piece.into()).map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the stream any more"))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() == PIECE {
            self.send()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl TreeSink {
    /// A sink into a new, private directory.
    pub fn local(root: &Path, user: Option<User>) -> Outcome<TreeSink> {
        if !root.is_dir() {
            std::fs::create_dir(root).doing(|| format!("create {}", root.display()))?;
        }
        super::set_mode(root, 0o700)?;
        own(root, user).doing(|| format!("change the owner of {}", root.display()))?;
        Ok(TreeSink::Local { root: root.to_path_buf(), user })
    }

    /// Makes a directory.
    pub fn directory(&mut self, path: &Path) -> io::Result<()> {
        let path = safe(path)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        match self {
            TreeSink::Local { root, user } => {
                use std::os::unix::fs::DirBuilderExt;
                let at = root.join(&path);
                match std::fs::DirBuilder::new().mode(0o700).create(&at) {
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                    _ => {}
                }
                own(&at, *user)
            }
            TreeSink::Stream { builder, user, .. } => {
                let mut header = header(0, 0o700, *user);
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, &path, io::empty())
            }
        }
    }

    /// Writes a file of a known size.
    pub fn file(&mut self, path: &Path, size: u64, data: &mut dyn Read) -> io::Result<()> {
        let path = safe(path)?;
        match self {
            TreeSink::Local { root, user } => {
                use std::os::unix::fs::OpenOptionsExt;
                let at = root.join(&path);
                let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&at)?;
                copy(data, &mut file)?;
                own(&at, *user)
            }
            TreeSink::Stream { builder, user, .. } => {
                let mut header = header(size, 0o600, *user);
                builder.append_data(&mut header, &path, data)
            }
        }
    }

    /// Ends the stream; the files are there when the returned task has ended.
    pub fn finish(self) -> io::Result<Option<tokio::task::JoinHandle<Outcome<()>>>> {
        match self {
            TreeSink::Local { .. } => Ok(None),
            TreeSink::Stream { builder, done, .. } => {
                let mut pieces = builder.into_inner()?;
                pieces.flush()?;
                Ok(Some(done))
            }
        }
    }
}

/// Copies with a buffer that suits relation segments.
fn copy(from: &mut dyn Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..n])?;
        total += n as u64;
    }
}

fn header(size: u64, mode: u32, user: User) -> tar::Header {
    let mut h = tar::Header::new_gnu();
    h.set_size(size);
    h.set_mode(mode);
    h.set_uid(user.uid.into());
    h.set_gid(user.gid.into());
    h.set_mtime(0);
    h
}

fn own(path: &Path, user: Option<User>) -> io::Result<()> {
    match user {
        Some(u) => std::os::unix::fs::lchown(path, Some(u.uid), Some(u.gid)),
        None => Ok(()),
    }
}

/// A relative path without `..`: an archive may not write outside of the data directory.
fn safe(path: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the archive names a path outside of it: {}", path.display()))),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_are_refused() {
        assert!(safe(Path::new("../x")).is_err());
        assert!(safe(Path::new("a/../../x")).is_err());
        assert!(safe(Path::new("/etc/passwd")).is_err());
        assert_eq!(safe(Path::new("./base/1/x")).unwrap(), Path::new("base/1/x"));
    }
}
