// What the page does by itself: language, light and dark, copying, jumping in a recording, taking any file, Esc.
(() => {
  const root = document.documentElement;
  const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window */ } };

  async function speak(language) {
    document.cookie = `fusion_language=${language};path=/;max-age=31536000;samesite=lax`;
    const code = language === 'zh' ? 'zh-CN' : 'en';
    if (!window.fusion.core) {
      const asked = new URLSearchParams(location.search);
      asked.set('lang', language);
      location.search = asked;
      return;
    }
    root.dataset.lang = language;
    root.lang = code;
    const core = await import(new URL(window.fusion.core, document.baseURI));
    // Gradio fetches a language when it is first asked for, and then shows it, whatever was asked for since.
    const locale = core.process_langs?.()[code];
    if (locale?.type === 'lazy') await locale.data();
    if (root.dataset.lang === language) core.changeLocale(code);
  }

  function light(dark) {
    document.body.classList.toggle('dark', dark);
    remember('fusion_look', dark ? 'dark' : 'light');
    const asked = new URLSearchParams(location.search);
    asked.set('__theme', dark ? 'dark' : 'light');
    history.replaceState(null, '', `?${asked}${location.hash}`);
  }

  async function copy(button) {
    const from = button.closest('.result-card').querySelectorAll('[data-copied]');
    await copyText([...from].map((part) => part.innerText.trim()).filter(Boolean).join('\n'), button);
  }

  async function copyText(shown, button = document.activeElement) {
    try {
      await navigator.clipboard.writeText(shown);
    } catch { // no clipboard outside a secure page
      const box = Object.assign(document.createElement('textarea'), { value: shown });
      document.body.append(box);
      box.select();
      document.execCommand('copy');
      box.remove();
    }
    button.dataset.said = window.fusion.texts[root.dataset.lang].copied;
    setTimeout(() => delete button.dataset.said, 1600);
  }

  window.fusion.copyText = copyText;

  function seek(button) {
    const scope = button.closest('.transcript') || button.closest('.split') || document;
    const near = button.closest('.transcript') || button.closest('.result-card');
    const player = [...near.querySelectorAll('audio, video'), ...scope.querySelectorAll('video, audio')]
      .find((one) => one.currentSrc || one.src);
    if (!player) return;
    player.currentTime = Number(button.dataset.seek);
    player.play?.().catch(() => { /* the browser may want a gesture first */ });
  }

  function play(button) {
    const player = button.parentElement.querySelector('audio');
    player.onplay = () => { button.dataset.playing = ''; };
    player.onpause = () => { delete button.dataset.playing; };
    if (player.paused) player.play().catch(() => { /* what the browser cannot play, the studio may still read */ });
    else player.pause();
  }

  document.addEventListener('click', (event) => {
    const target = event.target.closest('[data-speak], [data-light], [data-copy], [data-seek], [data-play]');
    if (!target) return;
    if (target.dataset.speak) speak(root.dataset.lang === 'zh' ? 'en' : 'zh');
    else if ('light' in target.dataset) light(!document.body.classList.contains('dark'));
    else if ('copy' in target.dataset) copy(target);
    else if ('play' in target.dataset) play(target);
    else seek(target);
  });

  // On a phone the result lies below the fold: bring it up when something runs, and again where pictures that load
  // late, or a card that grows, have moved it; not once the person scrolls.
  let bringing = 0;
  function bringUp(result, tries) {
    clearTimeout(bringing);
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    if (result.getBoundingClientRect().top > innerHeight * 0.6) {
      result.scrollIntoView({ block: 'start', behavior: calm ? 'auto' : 'smooth' });
    }
    if (tries) bringing = setTimeout(() => bringUp(result, tries - 1), 700);
  }
  for (const own of ['wheel', 'touchmove', 'keydown']) {
    addEventListener(own, () => clearTimeout(bringing), { passive: true });
  }
  document.addEventListener('click', ({ target }) => {
    const starter = target.closest('.actions button.primary, [data-query], .samples [data-sample]');
    const result = starter?.closest('.split')?.querySelector('.split-result');
    if (result && !result.contains(starter)) bringUp(result, 4);
  });

  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.target.closest?.('dialog, [contenteditable]')) return; // it closes these
    for (const stop of document.querySelectorAll('button.stop')) if (stop.offsetParent) stop.click();
  });

  // Gradio refuses a file, in English, by the type the browser guesses from its name: none for IMG_0001.MOV, a film for
  // any .webm. Each file gets a type that its input takes; the studio looks inside and says itself what does not fit.
  const families = { 'drop-photo': 'image', 'drop-sound': 'audio', 'drop-clip': 'video' };
  function fit(part, files) {
    const family = families[Object.keys(families).find((name) => part.closest?.(`.${name}`))];
    if (!family || [...files].every((file) => file.type.startsWith(`${family}/`))) return null;
    const fitting = new DataTransfer();
    for (const file of files) fitting.items.add(new File([file], file.name, { type: `${family}/x-unknown` }));
    return fitting;
  }

  // An empty file, or one the browser cannot play, is said in place of a blank player.
  function mark(part, word) {
    const drop = part.closest?.('.drop');
    if (!drop) return;
    if (word) drop.dataset.unplayable = word;
    else delete drop.dataset.unplayable;
  }
  const markEmpty = (part, files) => mark(part, [...files].some((file) => !file.size) ? 'empty' : '');

  document.addEventListener('change', ({ target }) => {
    if (target.type === 'file' && target.files.length) markEmpty(target, target.files);
    const fitting = target.type === 'file' && fit(target, target.files);
    if (fitting) target.files = fitting.files;
  }, true);

  // Several files, or a folder, on an input that takes one go to the input of the tab that takes many; where there is
  // none, that is said.
  async function handOver(tab, kind, dropped) {
    kind.click();
    for (let tries = 0; tries < 600; tries += 1) {
      const place = document.querySelector(`#${tab}-files [data-takes]`);
      if (place) return place.dispatchEvent(new CustomEvent('fusion-files', { detail: dropped }));
      await new Promise((done) => setTimeout(done, 50));
    }
    return false;
  }

  document.addEventListener('drop', (event) => {
    const part = event.target.closest?.('.drop');
    const { files, items } = event.dataTransfer;
    const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!part || (files.length < 2 && !entries.some((entry) => entry.isDirectory))) return;
    const tab = part.id.replace(/-[^-]*$/, '');
    const kind = document.querySelector(`#${tab}-kind input[value=files]`);
    mark(part, kind ? '' : 'several');
    if (kind) handOver(tab, kind, { files: [...files], entries });
    event.preventDefault();
    Object.defineProperty(event, 'dataTransfer', { value: new DataTransfer() }); // nothing is left for gradio to take
  }, true);

  document.addEventListener('drop', (event) => {
    if (event.dataTransfer.files.length) markEmpty(event.target, event.dataTransfer.files);
    const fitting = fit(event.target, event.dataTransfer.files);
    if (fitting) Object.defineProperty(event, 'dataTransfer', { value: fitting });
  }, true);

  // What a browser cannot play may still be read: gradio is not to raise "Video not playable" beside our one sentence.
  document.addEventListener('error', (event) => {
    if (event.target.tagName !== 'VIDEO') return;
    event.stopPropagation();
    if (!event.target.closest('[data-unplayable]')) mark(event.target, 'unplayable');
  }, true);
  document.addEventListener('loadedmetadata', ({ target }) => mark(target, ''), true);
  document.addEventListener('click', ({ target }) => {
    const button = target.closest('.drop .icon-button-wrapper button, [data-sample]');
    if (!button) return;
    for (const part of button.closest('.split, .drop').querySelectorAll('.drop')) mark(part, '');
    mark(button, '');
  });

  // The slider that closes the gap between the modalities of the Lab's maps.
  document.addEventListener('input', ({ target }) => {
    if ('gap' in target.dataset) target.closest('.maps').style.setProperty('--gap', target.value);
  });

  // A hit is a stretch of a longer recording: stop at its end, the first time.
  document.addEventListener('timeupdate', ({ target }) => {
    const end = Number(target.dataset?.end);
    if (end && target.currentTime >= end) { target.pause(); delete target.dataset.end; }
  }, true);
})();
