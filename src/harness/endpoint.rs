//! The clients' endpoint: a TCP proxy of the harness, which recovery re-points.

use super::error::{Doing, Outcome};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A listening endpoint; ends when dropped.
pub struct Endpoint {
    /// Where clients connect.
    pub address: SocketAddr,
    to: Arc<watch::Sender<Option<SocketAddr>>>,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    /// Opens an endpoint that leads to `to`.
    pub async fn open(to: SocketAddr) -> Outcome<Endpoint> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.doing(|| "open the clients' endpoint".into())?;
        let address = listener.local_addr().doing(|| "open the clients' endpoint".into())?;
        let (sender, receiver) = watch::channel(Some(to));
        let accepting = tokio::spawn(accept(listener, receiver));
        Ok(Endpoint { address, to: Arc::new(sender), accepting })
    }

    /// Leads new connections to another server and cuts those that there are.
    pub fn point_to(&self, to: SocketAddr) {
        self.to.send_replace(Some(to));
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: watch::Receiver<Option<SocketAddr>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let mut to = to.clone();
        connections.spawn(async move {
            let Some(address) = *to.borrow_and_update() else { return };
            // A server that does not accept is a client's connection refused: ours is closed at once.
            let Ok(mut server) = TcpStream::connect(address).await else { return };
            let mut client = client;
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                _ = to.changed() => {}
            }
        });
        // Finished connections are not kept.
        while connections.try_join_next().is_some() {}
    }
}
