// Keeps a page fresh: when the server says that something has happened, the
// page is fetched again and its parts marked data-live are put in place. Parts
// in which somebody is at work stay as they are. Without this script the page
// is as fresh as its last reload.
"use strict";
(() => {
  const project = document.body.dataset.project;
  const status = document.getElementById("pulse");
  if (project === "-1" || !status || !window.EventSource) return;

  let fetching = false, again = false, last = 0, timer = 0;
  const pause = 700; // at least so many milliseconds between two fetches

  // busy: somebody types in there, has chosen something, or points into it by keyboard.
  const busy = (part) => {
    const at = document.activeElement;
    if (at && part.contains(at) && at.matches("input, select, textarea")) return true;
    for (const field of part.querySelectorAll("input, textarea, select")) {
      if (field.type === "hidden") continue;
      const was = field.tagName === "SELECT" ? [...field.options].find((o) => o.defaultSelected) || field.options[0] : null;
      if (was ? field.value !== was.value : field.value !== field.defaultValue) return true;
    }
    return false;
  };

  // put replaces a part, keeping what is open, where it is scrolled, and the focus.
  const put = (part, fresh) => {
    if (part.innerHTML === fresh.innerHTML || busy(part)) return;
    const open = new Map([...part.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
    const scrolled = new Map([...part.querySelectorAll(".scroll")].map((s, i) => [i, [s.scrollLeft, s.scrollTop]]));
    const at = document.activeElement;
    let focus = null;
    if (at && part.contains(at)) {
      const all = [...part.querySelectorAll(at.tagName)];
      focus = { tag: at.tagName, index: all.indexOf(at), text: at.textContent };
    }
    part.innerHTML = fresh.innerHTML;
    for (const d of part.querySelectorAll("details[id]")) if (open.has(d.id)) d.open = open.get(d.id);
    part.querySelectorAll(".scroll").forEach((s, i) => {
      const to = scrolled.get(i);
      if (to) [s.scrollLeft, s.scrollTop] = to;
    });
    if (focus) {
      const all = [...part.querySelectorAll(focus.tag)];
      const same = all.find((e) => e.textContent === focus.text) || all[focus.index];
      if (same) same.focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    if (document.hidden) { again = true; return; }
    if (fetching) { again = true; return; }
    const wait = last + pause - Date.now();
    if (wait > 0) { clearTimeout(timer); timer = setTimeout(refresh, wait); return; }
    fetching = true; again = false; last = Date.now();
    try {
      const url = new URL(location.href);
      url.searchParams.delete("did");
      url.username = url.password = ""; // fetch refuses addresses that hold a login
      const answer = await fetch(url, { headers: { Accept: "text/html" } });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.statusText);
      const doc = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.body.dataset.pulse = doc.body.dataset.pulse;
      const parts = doc.querySelectorAll("[data-live]");
      const part = (fresh) => document.querySelector(`[data-live="${fresh.dataset.live}"]`);
      if (parts.length !== document.querySelectorAll("[data-live]").length || ![...parts].every(part)) {
        // The page has become another one: a first attempt, say.
        if (!busy(document.body)) location.reload();
        return;
      }
      for (const fresh of parts) put(part(fresh), fresh);
      say("live", "Live");
    } catch {
      say("lost", "Connection lost");
    } finally {
      fetching = false;
      if (again) refresh();
    }
  };

  const say = (name, text) => {
    if (status.className !== name) { status.className = name; status.textContent = text; }
  };

  const stream = new EventSource("/live?project=" + encodeURIComponent(project));
  stream.addEventListener("open", () => say("live", "Live"));
  stream.addEventListener("error", () => say("lost", "Connection lost"));
  stream.addEventListener("turn", (e) => { if (e.data !== document.body.dataset.pulse) refresh(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) refresh(); });
  setInterval(refresh, 60000); // "3 min ago" ages by itself
})();
