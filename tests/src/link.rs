//! A link that can be cut, slowed, stalled, and stopped half-way through a message.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use anyhow::Result;
use rustix::net::sockopt::{set_socket_linger, socket_linger};

/// How often a stalled direction looks whether it may go on.
const LOOK: Duration = Duration::from_millis(10);

/// What a link does with what it is given, in both directions unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes it on.
    Pass,
    /// Passes it on so much later.
    Delay(Duration),
    /// Passes nothing on, and keeps connections open; new ones too.
    Stall,
    /// Passes on what goes to the server, and none of the answers.
    Mute,
    /// Passes so many bytes more on in each direction of each connection, then nothing. When the mode changes, the
    /// connections that were stopped are cut.
    StopAfter(usize),
    /// Resets every connection, and every new one at once.
    Refuse,
}

/// A TCP proxy in front of a port of this host. Ends with its guard.
pub struct Link {
    door: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mode: Mode,
    /// How often the mode has made itself felt.
    felt: usize,
    connections: Vec<TcpStream>,
    is_over: bool,
}

impl Link {
    /// In front of `127.0.0.1:<port>`, passing.
    pub fn to(port: u16) -> Result<Link> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let door = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            mode: Mode::Pass,
            felt: 0,
            connections: Vec::new(),
            is_over: false,
        }));
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
        (state.mode, state.felt) = (mode, 0);
        if mode == Mode::Refuse {
            state.felt = state.connections.len();
            state.cut();
        }
    }

    /// How often the mode has made itself felt since it was set: ends of connections that were reset, pieces that came
    /// late, pieces that were kept back, connections that were stopped half-way through a message.
    pub fn felt(&self) -> usize {
        lock(&self.state).felt
    }

    /// Resets every connection; new ones are welcome.
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
    /// Counts what a mode has done, unless there is another one by now.
    fn feel(&mut self, mode: Mode) {
        self.felt += usize::from(self.mode == mode);
    }

    fn cut(&mut self) {
        // A reset and not an orderly end, once whoever pumps has woken up and let go. All are marked before any is
        // woken: a pump that wakes up looks at both of its ends.
        for connection in &self.connections {
            let _ = set_socket_linger(connection, Some(Duration::ZERO));
        }
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Read);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic under this lock")
}

fn connect(client: TcpStream, port: u16, shared: &Arc<Mutex<State>>) -> Result<()> {
    if lock(shared).mode == Mode::Refuse {
        lock(shared).feel(Mode::Refuse);
        return Ok(set_socket_linger(&client, Some(Duration::ZERO))?);
    }
    let server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    {
        // Both ends in one step, so that a cut finds both or neither; whoever came while one was under way is refused.
        let mut state = lock(shared);
        if state.mode == Mode::Refuse {
            set_socket_linger(&client, Some(Duration::ZERO))?;
            return Ok(set_socket_linger(&server, Some(Duration::ZERO))?);
        }
        state.connections.retain(|stream| stream.peer_addr().is_ok());
        state.connections.extend([client.try_clone()?, server.try_clone()?]);
    }
    let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
    for (from, to, is_answer) in [(client, to_server, false), (server, to_client, true)] {
        let shared = shared.clone();
        thread::spawn(move || {
            let _ = pump(&from, &to, is_answer, &shared);
            let is_cut = |stream| socket_linger(stream).is_ok_and(|linger| linger == Some(Duration::ZERO));
            let how = if is_cut(&from) || is_cut(&to) { Shutdown::Read } else { Shutdown::Both };
            let _ = from.shutdown(how);
            let _ = to.shutdown(how);
        });
    }
    Ok(())
}

/// Carries one direction until it ends or is to be cut.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    is_answer: bool,
    shared: &Mutex<State>,
) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    // Bytes left, under the mode that gave them.
    let mut allowance: Option<(Mode, usize)> = None;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut kept_back = None;
        loop {
            let mode = lock(shared).mode;
            match mode {
                Mode::Pass => break to.write_all(&buffer[..count])?,
                Mode::Mute if !is_answer => break to.write_all(&buffer[..count])?,
                Mode::Stall | Mode::Mute => {
                    if kept_back.replace(mode) != Some(mode) {
                        lock(shared).feel(mode);
                    }
                    thread::sleep(LOOK);
                }
                Mode::Delay(span) => {
                    thread::sleep(span);
                    lock(shared).feel(mode);
                    break to.write_all(&buffer[..count])?;
                }
                Mode::StopAfter(bytes) => {
                    let left = allowance.filter(|(under, _)| *under == mode).map_or(bytes, |(_, left)| left);
                    to.write_all(&buffer[..count.min(left)])?;
                    allowance = Some((mode, left.saturating_sub(count)));
                    if left >= count {
                        break;
                    }
                    lock(shared).feel(mode);
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Longer than anything takes here, shorter than anybody's patience.
    const AMPLE: Duration = Duration::from_secs(20);
    /// How long a silence must last to count as one.
    const SILENCE: Duration = Duration::from_millis(100);

    /// Where every byte comes back.
    fn echo() -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        Ok(port)
    }

    fn connect(link: &Link) -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", link.port()))?;
        stream.set_read_timeout(Some(AMPLE))?;
        Ok(stream)
    }

    /// What comes back of `bytes`, as far as it comes at all.
    fn ask(mut stream: &TcpStream, bytes: &[u8]) -> Result<Vec<u8>> {
        stream.write_all(bytes)?;
        let mut answer = vec![0; bytes.len()];
        let count = stream.read(&mut answer)?;
        answer.truncate(count);
        Ok(answer)
    }

    fn is_silent(stream: &TcpStream) -> Result<bool> {
        stream.set_read_timeout(Some(SILENCE))?;
        let silence = (&*stream).read(&mut [0]);
        stream.set_read_timeout(Some(AMPLE))?;
        Ok(silence.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)))
    }

    #[test]
    fn a_link_passes_stalls_and_goes_on_without_losing_a_byte() -> Result<()> {
        let link = Link::to(echo()?)?;
        let mut stream = connect(&link)?;
        assert_eq!(ask(&stream, b"one")?, b"one");
        for mode in [Mode::Stall, Mode::Mute] {
            link.set(mode);
            stream.write_all(b"two")?;
            assert!(is_silent(&stream)?, "{mode:?}");
            assert_eq!(link.felt(), 1, "{mode:?}");
            link.set(Mode::Pass);
            let mut late = [0; 3];
            stream.read_exact(&mut late)?;
            assert_eq!(&late, b"two", "{mode:?}");
        }
        Ok(())
    }

    #[test]
    fn a_refusing_link_resets_old_and_new_connections() -> Result<()> {
        let link = Link::to(echo()?)?;
        let stream = connect(&link)?;
        assert_eq!(ask(&stream, b"one")?, b"one");
        link.set(Mode::Refuse);
        assert_eq!(link.felt(), 2, "both ends of one connection");
        let error = (&stream).read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = ask(&connect(&link)?, b"two").expect_err("a reset");
        let kind = error.downcast::<std::io::Error>()?.kind();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
        Ok(())
    }

    #[test]
    fn a_link_that_stops_half_way_passes_so_many_bytes_and_then_ends() -> Result<()> {
        let link = Link::to(echo()?)?;
        let stream = connect(&link)?;
        link.set(Mode::StopAfter(2));
        assert_eq!(ask(&stream, b"one")?, b"on");
        assert!(is_silent(&stream)?);
        assert_eq!(link.felt(), 1);
        link.set(Mode::Pass);
        assert_eq!((&stream).read(&mut [0])?, 0, "the rest is lost, and the connection with it");
        Ok(())
    }
}
