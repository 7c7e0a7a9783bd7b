// The network of a Lab experiment: its parts in reading order, one row of lanes for the modalities, what each part gives as a
// strip, what it attends to as lines. `studio/tabs/lab/drawing.py` gives the numbers and the frame with the controls.
(() => {
  const SVG = 'http://www.w3.org/2000/svg';
  const KEPT = 160; // drawings kept of one training, for its slider
  const ROW = 11; // height of a token
  const BETWEEN = 26; // between parts of a column, for the name
  const STAGE_MS = { slow: 2200, plain: 700 };
  const calm = matchMedia('(prefers-reduced-motion: reduce)');

  const make = (name, attributes = {}, parent = null) => {
    const part = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    parent?.append(part);
    return part;
  };

  // A text in both languages; the style sheet shows one.
  function say(parent, [en, zh], tag = 'span') {
    if (en === zh) { parent.append(en); return parent; }
    for (const [lang, words] of [['en', en], ['zh-CN', zh]]) {
      const part = tag === 'tspan' ? make('tspan') : document.createElement(tag);
      part.setAttribute('class', 't');
      part.setAttribute('lang', lang);
      part.textContent = words;
      parent.append(part);
    }
    return parent;
  }

  const both = ([en, zh]) => (en === zh ? en : `${en} / ${zh}`);
  const numbers = (packed) => Int8Array.from(atob(packed), (sign) => sign.charCodeAt(0));

  // --- pictures of numbers: orange above zero, blue below; images in grey

  function paint(values, width, height, { turned = false, grey = false, gap = 0 }) {
    const across = turned ? height : width;
    const rows = turned ? width : height;
    const canvas = document.createElement('canvas');
    const cell = gap ? 4 : 1;
    canvas.width = turned ? across * cell : across;
    canvas.height = turned ? rows : rows * cell;
    const image = new ImageData(canvas.width, canvas.height);
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const value = values[row * width + column] / 127;
        const [r, g, b, a] = grey
          ? [255 * value, 255 * value, 255 * value, 255]
          : value < 0 ? [0, 114, 178, 255 * Math.abs(value) ** 0.7] : [230, 130, 0, 255 * value ** 0.7];
        for (let k = 0; k < (gap ? 3 : 1); k += 1) {
          const x = turned ? row * cell + k : column;
          const y = turned ? column : row * cell + k;
          image.data.set([r, g, b, a], 4 * (y * canvas.width + x));
        }
      }
    }
    canvas.getContext('2d').putImageData(image, 0, 0);
    return canvas.toDataURL();
  }

  const isLong = (part) => part.labels.some((label) => label.some((word) => word.length > 6));
  const barRow = (part) => (isLong(part) ? 34 : 17); // with its name above, or beside

  // --- where everything stands: `along` in reading order, `across` the tokens

  // Parts of all modalities in columns: those that do not read each other stand below each other, bars beside bars.
  function columnsOf(net, joint, apart) {
    const columns = [];
    for (const part of joint) {
      const column = columns.at(-1);
      const reads = part.after.some((at) => column?.includes(net.parts[at]));
      const alike = column && apart(column[0]) === apart(part);
      if (!column || reads || !alike) columns.push([part]);
      else column.push(part);
    }
    return columns;
  }

  function layout(net, width) {
    const lanes = [...new Set(net.parts.map((part) => part.lane))].filter((lane) => lane !== 'all');
    const rows = Object.fromEntries(lanes.map((lane) => [lane, net.parts.filter((part) => part.lane === lane)]));
    const joint = net.parts.filter((part) => part.lane === 'all');
    const longest = Math.max(...Object.values(rows).map((row) => row.length));
    let columns = columnsOf(net, joint, (part) => part.kind === 'bars');
    const units = longest + columns.reduce((sum, [part]) => sum + (part.kind === 'bars' ? 2 : 1), 0);
    const turned = width / units < 44;
    const pitch = turned ? 74 : Math.min(86, width / units);
    const long = turned ? 40 : Math.min(50, 0.62 * pitch);
    const stageOf = new Map();
    const room = turned ? width / lanes.length - 14 : Infinity; // of a lane, across
    const most = Math.max(...net.parts.filter((part) => part.kind === 'tokens').map((part) => part.size[0]));
    const row = Math.min(ROW, room / most);
    if (turned) columns = columnsOf(net, joint, (part) => (part.kind === 'tokens' ? '' : part.key)); // too wide for more
    const side = Math.min(long, (room + 4) / 3 - 4); // of a map
    const sideOf = (part) => (part.lane === 'all' ? Math.min(long, (turned ? width : 260) / part.size[0] - 4) : side);
    const high = (part) => {
      if (part.kind === 'tokens') return part.size[0] * row;
      if (part.kind === 'letters') return part.labels.length * 14;
      if (part.kind === 'bars') return part.bars.length * barRow(part);
      return part.size[0] * (sideOf(part) + 4) - 4;
    };
    const tall = (column) => column.reduce((sum, part) => sum + high(part) + BETWEEN, 0);
    const laneHigh = lanes.map((lane) => Math.max(...rows[lane].map(high)) + (turned ? 8 : 34));
    const total = Math.max(laneHigh.reduce((a, b) => a + b, 0), ...columns.map((column) => tall(column) + 8));
    const wide = turned ? width : total;
    const slack = (wide - laneHigh.reduce((a, b) => a + b, 0)) / lanes.length;
    const places = new Map();
    let start = 0;
    lanes.forEach((lane, n) => {
      const middle = start + (laneHigh[n] + slack) / 2;
      rows[lane].forEach((part, i) => {
        const at = rows[lane].length === 1 ? 0 : i * (longest - 1) / (rows[lane].length - 1);
        places.set(part, { along: at * pitch, middle, high: high(part), long, side });
        stageOf.set(part, Math.round(at));
      });
      start += laneHigh[n] + slack;
    });
    let along = longest * pitch;
    columns.forEach((column, i) => {
      const bars = column[0].kind === 'bars';
      let top = (wide - tall(column) + BETWEEN) / 2;
      column.forEach((part, n) => {
        const middle = turned ? (n + 0.5) * wide / column.length : top + high(part) / 2;
        const own = ['image', 'maps'].includes(part.kind) ? sideOf(part) : long;
        places.set(part, { along, middle, high: high(part), side: own, long: bars && !turned ? 2 * pitch - 20 : own });
        stageOf.set(part, longest + i);
        top += high(part) + BETWEEN;
      });
      along += bars ? (turned ? high(column[0]) + 44 : 2 * pitch) : pitch;
    });
    const end = turned ? along - 20 : along;
    return { turned, places, stageOf, n_stages: longest + columns.length, size: turned ? [width, end] : [Math.max(width, end), wide + 6] };
  }

  class Drawing {
    constructor(data, ask) {
      this.data = data;
      this.ask = ask;
      this.root = document.getElementById(data.closest('[id$="-network"]').id.replace(/-network$/, '-drawing'));
      this.words = JSON.parse(this.find('[data-words]').content.textContent);
      this.histories = new Map();
      this.stage = Infinity;
      this.net = null;
      this.run = '';
      this.chosen = null; // the part that is pointed at
      this.listen();
    }

    find(selector) { return this.root.querySelector(selector); }

    listen() {
      this.root.addEventListener('click', ({ target }) => {
        const act = target.closest('[data-act]')?.dataset.act;
        const label = target.closest('[data-label]')?.dataset.label;
        if (label !== undefined) this.choose({ label: Number(label), example: 0 });
        else if (act === 'other') this.choose({ example: this.net.example + 1 });
        else if (act === 'play') this.playing ? this.pause() : this.play();
        else if (act) { this.pause(); this.go(Math.min(this.stage, this.last()) + (act === 'next' ? 1 : -1)); }
      });
      this.root.addEventListener('input', ({ target }) => {
        if ('pass' in target.dataset) { const stage = Number(target.value); this.pause(); this.go(stage); }
        else if ('time' in target.dataset) { this.time = Number(target.value); this.show(this.history()[this.time]); }
        else if ('model' in target.dataset) this.choose({ model: target.value });
      });
      const point = ({ target }) => this.point(target.closest('.part'));
      this.root.addEventListener('pointerover', point);
      this.root.addEventListener('focusin', point);
      this.root.addEventListener('keydown', (event) => {
        const part = event.target.closest('.part');
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!part || !step) return;
        event.preventDefault();
        const all = [...this.root.querySelectorAll('.part')];
        const next = all[(all.indexOf(part) + step + all.length) % all.length];
        for (const each of all) each.tabIndex = each === next ? 0 : -1;
        next.focus();
      });
      new MutationObserver(() => this.take()).observe(this.data, { subtree: true, childList: true, attributes: true });
      new ResizeObserver(() => this.net && this.draw()).observe(this.find('.net-canvas'));
      new IntersectionObserver((seen, observer) => {
        if (!seen.some((each) => each.isIntersecting)) return;
        observer.disconnect();
        if (!this.net) this.choose({});
      }).observe(this.root);
      this.take();
    }

    choose(wanted) {
      const { label = 3, example = 0, model = '' } = this.net ?? {};
      this.ask({ label, example, model, run: this.run, ...wanted });
    }

    // --- what comes from the studio

    take() {
      const held = this.data.querySelector('[data-network]')?.dataset.network;
      if (!held || held === this.held) return;
      this.held = held;
      const net = JSON.parse(held);
      this.newest = net;
      if (net.run !== this.run) this.histories.clear();
      this.run = net.run;
      const key = [net.model, net.label, net.example].join('|');
      const isNew = key !== this.key;
      this.key = key;
      if (!this.histories.has(key)) this.histories.set(key, []);
      const kept = this.history();
      const wasAtEnd = isNew || this.time === undefined || this.time >= kept.length - 1;
      if (kept.at(-1)?.step === net.step) kept.pop();
      kept.push(net);
      if (kept.length > KEPT) for (let i = kept.length - 3; i > 0; i -= 2) kept.splice(i, 1);
      if (!(wasAtEnd && (isNew || !this.isHeld()))) { this.controls(); return; }
      this.time = kept.length - 1;
      this.show(net);
    }

    history() { return this.histories.get(this.key) ?? []; }

    isHeld() { return this.net && this.stage < this.last(); }

    last() { return this.map ? this.map.n_stages - 1 : 0; }

    show(net) {
      this.net = net;
      this.root.classList.remove('is-empty');
      this.draw();
    }

    // --- drawing

    draw() {
      const { net } = this;
      const width = this.find('.net-canvas').clientWidth;
      if (!width) return;
      const shape = JSON.stringify([width, net.model, net.parts.map((part) => [part.key, part.size, part.labels])]);
      if (shape !== this.shape) { this.shape = shape; this.build(width); }
      this.steepest = Math.max(...net.parts.map((part) => part.gradient), 1e-9);
      for (const [i, part] of net.parts.entries()) this.fill(part, this.drawn[i]);
      this.controls();
      this.light();
    }

    build(width) {
      const { net } = this;
      this.map = layout(net, width);
      const { turned, places, size } = this.map;
      const svg = make('svg', { width: size[0], height: size[1], viewBox: `0 0 ${size[0]} ${size[1]}`, role: 'group' });
      svg.setAttribute('aria-label', this.root.getAttribute('aria-label'));
      this.links = make('g', { class: 'links', 'aria-hidden': 'true' }, svg);
      this.drawn = net.parts.map((part, i) => {
        const { along, middle, high, long, side } = places.get(part);
        const box = turned
          ? { x: middle - high / 2, y: along + 18, width: high, height: 'values' in part && part.kind !== 'tokens' ? side : long }
          : { x: along + 2, y: middle - high / 2 + 8, width: long, height: high };
        if (turned && part.kind === 'bars') Object.assign(box, { x: 40, width: width - 80, height: high });
        const group = make('g', { class: `part hue-${part.lane}`, role: 'img', tabindex: i ? -1 : 0, 'data-part': i }, svg);
        group.setAttribute('aria-label', `${both(part.name)}, ${part.shape}, ${part.formula}, ${part.source}`);
        const edge = box.x < 20; // a name in the middle would be cut at the left
        const at = { x: edge ? box.x : box.x + box.width / 2, y: box.y - 5, 'text-anchor': edge ? 'start' : 'middle' };
        const name = make('text', { class: 'part-name', ...at }, group);
        say(name, part.name, 'tspan');
        make('rect', { class: 'part-box', x: box.x - 2, y: box.y - 2, width: box.width + 4, height: box.height + 4, rx: 3 }, group);
        return { group, box, images: this.inside(part, group, box, turned) };
      });
      this.find('.net-canvas').replaceChildren(svg);
    }

    // The pieces of a part that change: images, or bars with their numbers.
    inside(part, group, box, turned) {
      const image = (x, y, width, height) => make('image', { x, y, width, height, preserveAspectRatio: 'none' }, group);
      if (part.kind === 'letters') {
        return part.labels.forEach(([sign], i) => {
          const [x, y] = turned ? [box.x + 14 * i + 7, box.y + 24] : [box.x + box.width / 2, box.y + 14 * i + 11];
          make('text', { class: 'letter', x, y, 'text-anchor': 'middle' }, group).textContent = sign;
        });
      }
      if (part.kind === 'bars') {
        const above = isLong(part) ? 16 : 0;
        const longest = Math.max(...part.labels.flat().map((word) => [...word].length));
        const left = above ? 8 : 12 + 7 * longest;
        return part.labels.map((label, i) => {
          const y = box.y + above + barRow(part) * i;
          const [x, anchor] = above ? [box.x + left, 'start'] : [box.x + left - 6, 'end'];
          say(make('text', { class: 'bar-name', x, y: y + 12 - above, 'text-anchor': anchor }, group), label, 'tspan');
          const bar = make('rect', { class: 'bar-fill', x: box.x + left, y: y + 3, height: 11, width: 0, rx: 2 }, group);
          return { bar, space: box.width - left - 36, value: make('text', { class: 'bar-value', x: box.x + left + 4, y: y + 12 }, group), left: box.x + left };
        });
      }
      if (part.kind === 'tokens') return [image(box.x, box.y, box.width, box.height)];
      const each = turned ? box.height : box.width; // a map is square
      return Array.from({ length: part.size[0] }, (_, i) => (turned
        ? image(box.x + i * (each + 4), box.y, each, each)
        : image(box.x, box.y + i * (each + 4), each, each)));
    }

    fill(part, { group, images }) {
      const { turned } = this.map;
      group.style.setProperty('--change', Math.sqrt(part.gradient / this.steepest));
      if (part.kind === 'bars') {
        const best = part.bars.indexOf(Math.max(...part.bars));
        const isShare = part.key.endsWith('classes');
        part.bars.forEach((share, i) => {
          const { bar, value, space, left } = images[i];
          const width = Math.max(0, share * space);
          bar.setAttribute('width', width.toFixed(1));
          bar.classList.toggle('is-right', i === part.right);
          value.textContent = isShare ? `${Math.round(100 * share)}%` : share.toFixed(2);
          value.setAttribute('x', left + width + 4);
          value.classList.toggle('is-best', i === best);
        });
      } else if (part.kind !== 'letters') {
        const values = numbers(part.values);
        const [n, ...rest] = part.size;
        if (part.kind === 'tokens') images[0].setAttribute('href', paint(values, rest[0], n, { turned, gap: 1 }));
        else {
          const [height, width] = rest;
          images.forEach((image, i) => {
            const own = values.subarray(i * height * width, (i + 1) * height * width);
            image.setAttribute('href', paint(own, width, height, { grey: part.kind === 'image' }));
          });
        }
      }
    }

    // Lines between parts, as wide as the attention; a plain band where every number is used alike.
    link() {
      const { turned, stageOf } = this.map;
      const out = (box, share) => (turned ? [box.x + box.width * share, box.y + box.height + 2] : [box.x + box.width + 2, box.y + box.height * share]);
      const into = (box, share) => (turned ? [box.x + box.width * share, box.y - 2] : [box.x - 2, box.y + box.height * share]);
      const curve = ([x0, y0], [x1, y1]) => (turned
        ? `M${x0.toFixed(1)} ${y0.toFixed(1)}C${x0.toFixed(1)} ${((y0 + y1) / 2).toFixed(1)} ${x1.toFixed(1)} ${((y0 + y1) / 2).toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`
        : `M${x0.toFixed(1)} ${y0.toFixed(1)}C${((x0 + x1) / 2).toFixed(1)} ${y0.toFixed(1)} ${((x0 + x1) / 2).toFixed(1)} ${y1.toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`);
      const lines = [];
      this.net.parts.forEach((part, i) => {
        const { box } = this.drawn[i];
        const stage = stageOf.get(part);
        const kind = stage > this.stage ? 'is-later' : stage === this.stage && this.isHeld() ? 'is-now' : '';
        const sources = part.after.map((at) => [at, this.net.parts[at]]);
        if (!part.links) {
          for (const [at] of sources) lines.push(`<path class="band ${kind}" d="${curve(out(this.drawn[at].box, 0.5), into(box, 0.5))}"/>`);
          return;
        }
        const weights = numbers(part.links);
        const n = part.size[0];
        const total = weights.length / n;
        for (let row = 0; row < n; row += 1) {
          let column = 0;
          for (const [at, source] of sources) {
            const many = source.size[0];
            for (let j = 0; j < many; j += 1, column += 1) {
              const weight = weights[row * total + column] / 127;
              if (weight < 0.03) continue;
              const path = curve(out(this.drawn[at].box, (j + 0.5) / many), into(box, (row + 0.5) / n));
              const pointed = this.chosen === i || this.chosen === at ? 'is-pointed' : '';
              lines.push(`<path class="hue-${source.lane} ${kind} ${pointed}" d="${path}" stroke-width="${(0.4 + 3.6 * weight).toFixed(2)}" stroke-opacity="${(0.12 + 0.88 * weight).toFixed(2)}"/>`);
            }
          }
        }
      });
      this.links.innerHTML = lines.join('');
    }

    // --- step by step

    go(stage) {
      this.stage = Math.max(0, Math.min(this.last(), stage));
      if (!this.isHeld() && this.time === this.history().length - 1) this.net = this.history().at(-1) ?? this.net;
      this.chosen = null;
      this.draw();
    }

    play() {
      this.playing = true;
      const { stage } = this;
      this.go(stage >= this.last() ? 0 : stage);
      const next = () => {
        if (!this.playing || !this.root.isConnected) return;
        this.go(this.stage + 1);
        if (this.stage >= this.last()) this.pause();
        else this.timer = setTimeout(next, this.pace());
      };
      this.timer = setTimeout(next, this.pace());
    }

    pace() { return this.find('[data-slow]').checked ? STAGE_MS.slow : STAGE_MS.plain; }

    pause() {
      this.playing = false;
      clearTimeout(this.timer);
      this.controls();
    }

    light() {
      const { stageOf } = this.map;
      this.net.parts.forEach((part, i) => {
        const { group } = this.drawn[i];
        group.classList.toggle('is-later', stageOf.get(part) > this.stage);
        group.classList.toggle('is-now', this.isHeld() && stageOf.get(part) === this.stage);
      });
      this.link();
      this.root.classList.toggle('is-moving', Boolean(this.playing) && !calm.matches);
      this.tell();
    }

    point(group) {
      const at = group ? Number(group.dataset.part) : null;
      if (at === this.chosen || (at === null && this.root.contains(document.activeElement?.closest('.part')))) return;
      this.chosen = at;
      this.link();
      this.tell();
    }

    tell() {
      const { stageOf } = this.map;
      const parts = this.chosen !== null ? [this.net.parts[this.chosen]]
        : this.isHeld() ? this.net.parts.filter((part) => stageOf.get(part) === this.stage) : [];
      const info = this.find('.net-info');
      const shown = JSON.stringify(parts.map((part) => [part.key, part.gradient]));
      if (shown === this.told) return;
      this.told = shown;
      if (!parts.length) {
        info.replaceChildren(Object.assign(document.createElement('p'), { className: 'quiet' }));
        say(info.firstChild, this.words.hint);
        return;
      }
      info.replaceChildren(...parts.map((part) => this.card(part)));
    }

    card(part) {
      const card = Object.assign(document.createElement('div'), { className: `net-part hue-${part.lane}` });
      say(card.appendChild(document.createElement('h4')), part.name);
      if (part.about[0]) say(card.appendChild(document.createElement('p')), part.about);
      const list = card.appendChild(document.createElement('dl'));
      const facts = [['shape', part.shape], ['formula', part.formula], ['code', part.source]];
      if (part.gradient) facts.push(['change', String(part.gradient)]);
      for (const [word, fact] of facts) {
        say(list.appendChild(document.createElement('dt')), this.words[word]);
        const value = list.appendChild(document.createElement('dd'));
        value.dataset.fact = word;
        value.append(Object.assign(document.createElement('code'), { textContent: fact }));
      }
      return card;
    }

    // --- controls show what is

    controls() {
      const { net, root } = this;
      if (!net || !this.map) return;
      const pass = this.find('[data-pass]');
      pass.max = this.last();
      pass.value = Math.min(this.stage, this.last());
      const time = this.find('[data-time]');
      time.max = this.history().length - 1;
      time.value = this.time;
      time.setAttribute('aria-valuetext', String(net.step));
      root.classList.toggle('has-time', this.history().length > 1);
      root.classList.toggle('is-playing', Boolean(this.playing));
      root.classList.toggle('is-held', this.isHeld() && !this.newest.is_over && net.step > 0);
      root.classList.toggle('is-new', net.step === 0);
      this.find('[data-step]').textContent = `${net.step} / ${net.steps}`;
      const classes = this.find('[data-classes]');
      if (classes.childElementCount !== net.classes.length || classes.textContent !== net.classes.join('')) {
        classes.replaceChildren(...net.classes.map((name, label) => {
          const button = Object.assign(document.createElement('button'), { type: 'button', className: 'tool', textContent: name });
          button.dataset.label = label;
          return button;
        }));
      }
      for (const button of classes.children) button.setAttribute('aria-pressed', Number(button.dataset.label) === net.label);
      const models = this.find('[data-model]');
      const { newest } = this;
      const names = JSON.stringify(newest.models);
      if (models.dataset.names !== names) {
        models.dataset.names = names;
        models.replaceChildren(...newest.models.map(([value, en, zh]) => new Option(document.documentElement.dataset.lang === 'zh' ? zh : en, value)));
      }
      if (![...models.options].some((option) => option.value === net.model)) models.add(new Option(net.model, net.model));
      models.value = net.model;
      models.disabled = !newest.is_over && newest.step > 0;
    }
  }

  function begin() {
    for (const [data, ask] of (window.fusion.networks ?? []).splice(0)) {
      const holder = data.closest('[id$="-network"]');
      if (holder && document.getElementById(holder.id.replace(/-network$/, '-drawing'))) new Drawing(data, ask);
      else setTimeout(() => { (window.fusion.networks ??= []).push([data, ask]); begin(); }, 100);
    }
  }

  addEventListener('fusion-network', begin);
  begin();
})();
