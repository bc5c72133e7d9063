use std::os::unix::net::UnixStream;

use super::*;

fn hello(sockets: &[Socket]) -> Hello {
    Hello {
        format: FORMAT,
        records: 1,
        pid: 7,
        version: "0".into(),
        sockets: sockets
            .iter()
            .map(|socket| (socket.door.clone(), socket.address))
            .collect(),
        ready: vec!["a".into()],
        sealing_key: Some([3; 32]),
    }
}

#[test]
fn sockets_go_over_and_stay_open() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = socket.local_addr().unwrap();
    let sockets = [Socket {
        door: "http".into(),
        address: "127.0.0.1:0".parse().unwrap(),
        socket,
    }];
    let (mut one, mut other) = UnixStream::pair().unwrap();
    hand_over(&mut one, &sockets, hello(&sockets)).unwrap();
    drop(sockets);
    let (mut taken, hello) = take_over(&mut other).unwrap();
    assert_eq!(hello.ready, ["a"]);
    let listeners = taken.bind("http", "127.0.0.1:0".parse().unwrap(), 4).unwrap();
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0].local_addr(), bound);
    // They can be handed on.
    assert_eq!(taken.own.len(), 1);
}

#[test]
fn messages_come_as_they_were_sent() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    for said in [
        Said::LetGo,
        Said::Records(7, b"abc".to_vec()),
        Said::Failed("why".into()),
    ] {
        one.write_all(&said.frame().unwrap()).unwrap();
        let read = Said::read(&mut other).unwrap();
        assert_eq!(format!("{read:?}"), format!("{said:?}"));
    }
}

#[test]
fn what_is_cut_off_too_long_or_something_else_is_an_error() {
    let frame = Said::Ended("id".into()).frame().unwrap();
    for end in 0..frame.len() {
        assert!(Said::read(&mut &frame[..end]).is_err(), "{end}");
    }
    for bytes in [
        &b"\xff\xff\xff\xff\x01"[..],
        b"\x01\0\0\0\x09",
        b"\x03\0\0\0\x02ab",
        b"\x03\0\0\0\x01{}",
    ] {
        assert!(Said::read(&mut &*bytes).is_err(), "{bytes:?}");
    }
    let (one, mut other) = UnixStream::pair().unwrap();
    drop(one);
    assert!(take_over(&mut other).is_err());
}
