// Results that can be worked on. A transcript: the line being said is lit and followed, lines are corrected in place,
// saved files hold the texts that are chosen. A caption or an answer: corrected in place, and found among many. `studio/tabs/speech/view.py` writes the HTML; corrections are made by POST /studio/edit/ID.
(() => {
  const CALM_MS = 4000; // how long a person who scrolled is left alone
  let scrolledAt = 0;

  // --- following the player

  function light(list, selector, start, end, at, name) {
    for (const part of list.querySelectorAll(selector)) {
      part.classList.toggle(name, at >= Number(start(part)) && at < Number(end(part)));
    }
  }

  document.addEventListener('timeupdate', ({ target }) => {
    const transcript = target.closest?.('[data-transcript]');
    if (!transcript) return;
    const list = transcript.querySelector('.segments');
    light(list, '.segment', (row) => row.dataset.start, (row) => row.dataset.end, target.currentTime, 'is-now');
    const row = list.querySelector('.is-now');
    const words = row ? [...row.querySelectorAll('.word')] : [];
    for (const word of list.querySelectorAll('.word.is-now')) word.classList.remove('is-now');
    words.findLast((word) => Number(word.dataset.seek) <= target.currentTime)?.classList.add('is-now');
    if (row && !target.paused && Date.now() - scrolledAt > CALM_MS) {
      const top = row.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight) {
        list.scrollTop = top - list.clientHeight / 3;
      }
    }
  }, true);

  for (const name of ['wheel', 'touchmove']) {
    document.addEventListener(name, ({ target }) => {
      if (target.closest?.('.segments')) scrolledAt = Date.now();
    }, { passive: true });
  }

  // --- correcting

  const isCorrecting = (transcript) => transcript.classList.contains('is-correcting');

  const rowsOf = (transcript) => [...transcript.querySelectorAll('.segment')];
  const lineOf = (row) => rowsOf(row.closest('[data-transcript]')).indexOf(row);

  function prepare(transcript, rows) {
    for (const line of rows.flatMap((row) => [...row.querySelectorAll('.line-text, .translated')])) {
      if (!isCorrecting(transcript)) line.removeAttribute('contenteditable');
      else {
        line.textContent = line.textContent.trim();
        line.dataset.was = line.textContent;
        line.setAttribute('contenteditable', 'plaintext-only');
        line.setAttribute('role', 'textbox');
        line.setAttribute('aria-label', line.closest('.segment').querySelector('.time').textContent.trim());
        line.spellcheck = true;
      }
    }
  }

  // Ask the studio for a correction of the result `id`; what it answers, or null where it refuses and `problem` says why.
  async function ask(id, edit, part, problem) {
    const { entry } = part.closest('[data-entry]')?.dataset ?? {};
    try {
      const answer = await fetch(new URL(`./studio/edit/${id}`, document.baseURI), {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...edit, entry }),
      });
      const given = await answer.json();
      problem.hidden = answer.ok;
      if (answer.ok) return given;
      problem.textContent = given.detail[document.documentElement.dataset.lang] ?? given.detail;
    } catch {
      problem.hidden = false;
      problem.textContent = window.fusion.texts[document.documentElement.dataset.lang].unsaved;
    }
    return null;
  }

  // Corrections go one after the other: the rows that the studio counts are those that the last one left.
  let sent = Promise.resolve();
  function send(transcript, edit, row = null) {
    const now = sent.then(() => (row && !row.isConnected ? false : sendNow(transcript, edit, row)));
    sent = now.catch(() => {});
    return now;
  }

  async function sendNow(transcript, edit, row) {
    const list = transcript.querySelector('.segments');
    const asked = row ? { ...edit, line: lineOf(row) } : edit;
    const shown = { rows: edit.whole ? null : list.children.length };
    const given = await ask(transcript.dataset.transcript, { ...asked, ...shown }, transcript, transcript.querySelector('.problem'));
    if (!given) return false;
    // A line's text is on the page already; a new row would take away what is being typed in it.
    if (edit.edit === 'text' || edit.edit === 'translation') return true;
    const all = given.n_gone === null;
    const { scrollTop } = list;
    const gone = [...list.children].slice(given.start, all ? undefined : given.start + given.n_gone);
    const from = list.children[given.start + gone.length] ?? null;
    for (const old of gone) old.remove();
    const drawn = document.createRange().createContextualFragment(given.html);
    const rows = [...drawn.querySelectorAll('.segment')];
    list.insertBefore(drawn, from);
    list.scrollTop = scrollTop;
    prepare(transcript, rows);
    return true;
  }

  async function keep(line) {
    const transcript = line.closest('[data-transcript]');
    if (!transcript || line.textContent.trim() === line.dataset.was) return true;
    line.dataset.was = line.textContent.trim();
    const edit = line.classList.contains('translated') ? 'translation' : 'text';
    return send(transcript, { edit, text: line.textContent }, line.closest('.segment'));
  }

  function caret(line) {
    const selection = getSelection();
    const before = document.createRange();
    before.selectNodeContents(line);
    before.setEnd(selection.anchorNode, selection.anchorOffset);
    return before.toString().length;
  }

  // A button that is pressed takes the cursor away: where it was last is where the line is cut; else, in its middle.
  let cursor = { line: null, at: 0 };
  document.addEventListener('selectionchange', () => {
    const line = getSelection().anchorNode?.parentElement?.closest('.line-text[contenteditable]');
    if (line) cursor = { line, at: caret(line) };
  });

  function cutOf(line) {
    const text = line.textContent;
    if (cursor.line === line && text.slice(0, cursor.at).trim() && text.slice(cursor.at).trim()) return cursor.at;
    const half = Math.round(text.length / 2);
    const gaps = [text.lastIndexOf(' ', half), text.indexOf(' ', half)].filter((at) => at > 0);
    return gaps.sort((one, other) => Math.abs(one - half) - Math.abs(other - half))[0] ?? half;
  }

  function put(transcript, n, at) {
    const line = rowsOf(transcript)[n]?.querySelector('.line-text');
    if (!line) return;
    line.focus();
    getSelection().setPosition(line.firstChild ?? line, line.firstChild ? Math.min(at, line.textContent.length) : 0);
  }

  async function split(row, at) {
    const transcript = row.closest('[data-transcript]');
    const n = lineOf(row);
    if (await keep(row.querySelector('.line-text')) && await send(transcript, { edit: 'split', at }, row)) put(transcript, n + 1, 0);
  }

  async function join(row) {
    const transcript = row.closest('[data-transcript]');
    const n = lineOf(row);
    const at = rowsOf(transcript)[n - 1].querySelector('.line-text').textContent.length;
    if (await keep(row.querySelector('.line-text')) && await send(transcript, { edit: 'join' }, row)) put(transcript, n - 1, at);
  }

  document.addEventListener('focusout', ({ target }) => {
    if (target.dataset?.was !== undefined) keep(target);
  });

  document.addEventListener('keydown', (event) => {
    const line = event.target;
    if (line.dataset?.was === undefined || event.isComposing) return;
    const row = line.closest('.segment');
    if (event.key === 'Enter') {
      event.preventDefault();
      if (line.classList.contains('line-text')) split(row, caret(line));
      else line.blur();
    } else if (event.key === 'Backspace' && lineOf(row) && line.classList.contains('line-text') && getSelection().isCollapsed && !caret(line)) {
      event.preventDefault();
      join(row);
    }
  });

  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-correct], [data-edit]');
    if (!button) return;
    const transcript = button.closest('[data-transcript]');
    if ('correct' in button.dataset) {
      const on = transcript.classList.toggle('is-correcting');
      button.setAttribute('aria-pressed', String(on));
      if (on) prepare(transcript, rowsOf(transcript));
      else send(transcript, { edit: 'shift', seconds: 0, whole: true }); // the lines anew, with their words
      return;
    }
    const row = button.closest('.segment');
    const edit = { edit: button.dataset.edit };
    if (edit.edit === 'split') return void split(row, cutOf(row.querySelector('.line-text')));
    if (edit.edit === 'join') return void join(row);
    if (button.dataset.seconds) edit.seconds = Number(button.dataset.seconds);
    if (edit.edit === 'replace') {
      edit.find = transcript.querySelector('[data-find]').value;
      edit.with = transcript.querySelector('[data-with]').value;
    }
    send(transcript, edit, row);
  });

  // A saved file holds the texts that are chosen when it is saved.
  document.addEventListener('click', ({ target }) => {
    const link = target.closest('a[href*="/studio/save/"]');
    const chosen = link?.closest('.result-card')?.querySelector('[data-texts]:checked');
    if (!chosen) return;
    const url = new URL(link.href);
    url.searchParams.set('texts', chosen.dataset.texts);
    link.href = url;
  }, true);

  // --- the text of a caption or an answer

  const scopeOf = (part) => part.closest('.queue-row, .turn') ?? part.closest('.result-card');

  function problemOf(text) {
    const scope = scopeOf(text);
    const known = scope.querySelector('.problem');
    if (known) return known;
    const problem = Object.assign(document.createElement('p'), { className: 'problem', hidden: true, role: 'alert' });
    text.after(problem);
    return problem;
  }

  document.addEventListener('click', ({ target }) => {
    const button = target.closest('[data-correct-text]');
    if (!button) return;
    const text = scopeOf(button).querySelector('[data-text-of]');
    text.dataset.before = text.textContent;
    text.setAttribute('contenteditable', 'plaintext-only');
    text.setAttribute('role', 'textbox');
    text.setAttribute('aria-label', button.innerText);
    text.spellcheck = true;
    text.focus();
    getSelection().selectAllChildren(text);
    getSelection().collapseToEnd();
  });

  document.addEventListener('keydown', (event) => {
    const text = event.target;
    if (text.dataset?.before === undefined || event.isComposing) return;
    if (event.key === 'Escape') text.textContent = text.dataset.before;
    if (event.key !== 'Escape' && event.key !== 'Enter') return;
    event.preventDefault();
    text.blur();
  });

  document.addEventListener('focusout', async ({ target: text }) => {
    if (text.dataset?.before === undefined) return;
    const { before } = text.dataset;
    const now = text.textContent.replace(/\s+/g, ' ').trim();
    delete text.dataset.before;
    for (const name of ['contenteditable', 'role', 'aria-label']) text.removeAttribute(name);
    text.textContent = now;
    if (now === before) return;
    const given = await ask(text.dataset.textOf, { edit: 'text', text: now }, text, problemOf(text));
    if (!given) text.textContent = before;
    else for (const judged of scopeOf(text).querySelectorAll('.judged')) judged.remove();
  });

  // --- among many

  document.addEventListener('input', ({ target }) => {
    if (!target.matches?.('[data-filter]')) return;
    const words = target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of target.closest('.result-card').querySelectorAll('.queue-row')) {
      const said = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => said.includes(word));
    }
  });
})();
