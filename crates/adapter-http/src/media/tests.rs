use super::*;

#[test]
fn accept_is_read_as_ranges() {
    for (sent, json, events) in [
        (&[][..], true, true),
        (&["application/json, text/event-stream"], true, true),
        (&["application/json", "text/event-stream"], true, true),
        (&["APPLICATION/JSON;q=0.5 , Text/Event-Stream"], true, true),
        (&["application/json"], true, false),
        (&["text/event-stream"], false, true),
        (&["application/*"], true, false),
        (&["text/*;q=0.1"], false, true),
        (&["*/*"], true, true),
        (&["application/json;q=0, */*;q=0"], false, false),
        (&["text/html,image/png"], false, false),
        (&[""], false, false),
    ] {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        assert_eq!(accepts(&headers), Accepts { json, events }, "{sent:?}");
    }
}
