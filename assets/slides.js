// A lesson as slides: each heading and each paragraph that opens with bold words begins one, with its formulas and code.
(() => {
  const starts = (node) => node.matches('h3') || (node.matches('p') && node.firstElementChild?.matches('strong')
    && node.firstElementChild === node.firstChild);

  function cut(nodes) {
    const slides = [];
    for (const node of nodes) {
      const last = slides.at(-1);
      if (!last || (starts(node) && !(last.length === 1 && last[0].matches('h3')))) slides.push([node]);
      else last.push(node); // a heading stands over its first paragraph
    }
    return slides;
  }

  function open(lesson) {
    const text = [...lesson.querySelectorAll('.lesson-text')].find((each) => each.offsetParent);
    const heading = text?.querySelector('h3');
    if (!heading) { setTimeout(() => open(lesson), 100); return; } // the page still writes it
    const slides = cut(heading.parentElement.children);
    const dialog = document.createElement('dialog');
    dialog.className = 'slides';
    dialog.innerHTML = '<div class="slide lesson-text prose" tabindex="0"></div><footer><button type="button" class="tool" data-by="-1" aria-label="◀">◀</button>'
      + '<span class="number" role="status"></span><button type="button" class="tool" data-by="1" aria-label="▶">▶</button><button type="button" class="tool" data-by="0" aria-label="✕">✕</button></footer>';
    let at = 0;
    const show = (to) => {
      at = Math.max(0, Math.min(slides.length - 1, to));
      dialog.querySelector('.slide').replaceChildren(...slides[at].map((node) => node.cloneNode(true)));
      dialog.querySelector('footer .number').textContent = `${at + 1} / ${slides.length}`;
    };
    dialog.addEventListener('click', ({ target }) => {
      const by = target.closest('[data-by]')?.dataset.by;
      if (by === '0') dialog.close();
      else if (by) show(at + Number(by));
    });
    dialog.addEventListener('keydown', (event) => {
      const to = { ArrowRight: at + 1, PageDown: at + 1, ArrowLeft: at - 1, PageUp: at - 1, Home: 0, End: slides.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(to);
    });
    dialog.addEventListener('close', () => dialog.remove());
    document.querySelector('.gradio-container').append(dialog);
    show(0);
    dialog.showModal();
    dialog.querySelector('.slide').focus();
  }

  document.addEventListener('click', ({ target }) => {
    const lesson = target.closest('[data-slides]')?.closest('.lesson');
    if (lesson) open(lesson);
  });
})();
