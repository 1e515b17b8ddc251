//! A link that can be cut, slowed, stalled, and stopped half-way through a message.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use anyhow::Result;

/// How often a stalled direction looks whether it may go on.
const LOOK: Duration = Duration::from_millis(10);

/// What a link does with what it is given, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes it on.
    Pass,
    /// Passes it on so much later.
    Delay(Duration),
    /// Passes nothing on, and keeps connections open; new ones too.
    Stall,
    /// Passes so many bytes more on in each direction of each connection, then nothing. When the mode changes, the
    /// connections that were stopped are cut.
    StopAfter(usize),
    /// Cuts every connection, and every new one at once.
    Refuse,
}

/// A TCP proxy in front of a port of this host. Ends with its guard.
pub struct Link {
    door: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mode: Mode,
    connections: Vec<TcpStream>,
    is_over: bool,
}

impl Link {
    /// In front of `127.0.0.1:<port>`, passing.
    pub fn to(port: u16) -> Result<Link> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let door = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { mode: Mode::Pass, connections: Vec::new(), is_over: false }));
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if lock(&shared).is_over {
                    return;
                }
                let _ = connect(client, port, &shared);
            }
        });
        Ok(Link { door, state })
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.door.port()
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        let mut state = lock(&self.state);
        state.mode = mode;
        if mode == Mode::Refuse {
            state.cut();
        }
    }

    /// Cuts every connection; new ones are welcome.
    pub fn cut(&self) {
        lock(&self.state).cut();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        state.cut();
        drop(state);
        // Wakes the listening thread.
        let _ = TcpStream::connect(self.door);
    }
}

impl State {
    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic under this lock")
}

fn connect(client: TcpStream, port: u16, shared: &Arc<Mutex<State>>) -> Result<()> {
    if lock(shared).mode == Mode::Refuse {
        return Ok(());
    }
    let server = TcpStream::connect(("127.0.0.1", port))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        let mut state = lock(shared);
        state.connections.retain(|stream| stream.peer_addr().is_ok());
        state.connections.push(stream.try_clone()?);
    }
    let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
    for (from, to) in [(client, to_server), (server, to_client)] {
        let shared = shared.clone();
        thread::spawn(move || {
            let _ = pump(&from, &to, &shared);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

/// Carries one direction until it ends or is to be cut.
fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Mutex<State>) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    // Bytes left, under the mode that gave them.
    let mut allowance: Option<(Mode, usize)> = None;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        loop {
            let mode = lock(shared).mode;
            match mode {
                Mode::Pass => break to.write_all(&buffer[..count])?,
                Mode::Delay(span) => {
                    thread::sleep(span);
                    break to.write_all(&buffer[..count])?;
                }
                Mode::Stall => thread::sleep(LOOK),
                Mode::StopAfter(bytes) => {
                    let left = allowance.filter(|(under, _)| *under == mode).map_or(bytes, |(_, left)| left);
                    to.write_all(&buffer[..count.min(left)])?;
                    allowance = Some((mode, left.saturating_sub(count)));
                    if left >= count {
                        break;
                    }
                    // The rest of this message is lost, and with it the connection.
                    while lock(shared).mode == mode {
                        thread::sleep(LOOK);
                    }
                    return Ok(());
                }
                Mode::Refuse => return Ok(()),
            }
        }
    }
}
