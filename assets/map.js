// The map of a collection: a canvas with dots, near to which they become pictures; moved by pointer, fingers and keys.
(() => {
  const root = document.documentElement;
  const language = () => root.dataset.lang || 'en';
  const PAD = 44;
  const MOST_PICTURES = 90; // in view at once; of more only dots are drawn
  const LARGEST = 24;
  const between = (low, value, high) => Math.max(low, Math.min(high, value));
  const maps = new Set();

  function start(part) {
    part.dataset.drawn = '';
    const canvas = part.querySelector('canvas');
    if (!canvas) return; // a timeline
    const frame = canvas.parentElement;
    const pen = canvas.getContext('2d');
    const [tip, item, said] = ['.map-tip', '.map-item', '[aria-live]'].map((name) => part.querySelector(name));
    const lit = new Set(JSON.parse(part.dataset.lit));
    const pictures = new Map();
    const fingers = new Map();
    const view = { scale: 1, x: 0, y: 0 };
    let points = [];
    let clusters = [];
    let selected = -1;
    let hovered = -1;
    let lassoing = false;
    let outline = null; // the corners of a lasso that is being drawn
    let pressed = null; // where a finger or the mouse went down
    let size = [0, 0];
    let waiting = false;

    const place = (x, y) => [
      (PAD + x * (size[0] - 2 * PAD)) * view.scale + view.x,
      (PAD + y * (size[1] - 2 * PAD)) * view.scale + view.y,
    ];
    const placeOf = (n) => place(points[n][0], points[n][1]);
    const inView = ([x, y], edge = 0) => x > -edge && y > -edge && x < size[0] + edge && y < size[1] + edge;
    const address = (n) => `./studio/map/${part.dataset.map}/${n}`;

    function draw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; if (canvas.isConnected) paint(); else maps.delete(map); });
    }

    function picture(n) {
      if (!pictures.has(n)) {
        const image = new Image();
        image.onload = draw;
        image.src = address(n);
        pictures.set(n, image);
      }
      const image = pictures.get(n);
      return image.complete && image.naturalWidth ? image : null;
    }

    function shape(modality, x, y, r) {
      pen.beginPath();
      if (modality === 'picture') pen.arc(x, y, r, 0, 7);
      else if (modality === 'sound') pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
      else {
        const corners = modality === 'text' ? [[0, -1.15], [1.1, 0.8], [-1.1, 0.8]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
        corners.forEach(([dx, dy]) => pen.lineTo(x + dx * r, y + dy * r));
        pen.closePath();
      }
    }

    function dot(n, asPictures, mark, colour) {
      const [x, y] = placeOf(n);
      const modality = points[n][2];
      const image = asPictures && modality !== 'text' ? picture(n) : null;
      if (image) {
        const [w, h] = [map.width, map.width * 0.75];
        pen.fillStyle = colour('panel');
        pen.fillRect(x - w / 2, y - h / 2, w, h);
        if (modality === 'sound') pen.drawImage(image, x - w / 2, y - h / 2, w, h);
        else {
          const crop = Math.min(image.naturalWidth / w, image.naturalHeight / h);
          const [from, high] = [w * crop, h * crop];
          pen.drawImage(image, (image.naturalWidth - from) / 2, (image.naturalHeight - high) / 2, from, high, x - w / 2, y - h / 2, w, h);
        }
        pen.lineWidth = mark ? 3 : 1.5;
        pen.strokeStyle = mark ? colour('accent') : colour(modality);
        pen.strokeRect(x - w / 2, y - h / 2, w, h);
        shape(modality, x - w / 2 + 5, y + h / 2 - 5, 4.5);
      } else shape(modality, x, y, mark ? 8 : asPictures ? 7 : between(3, 2 + view.scale, 6));
      pen.fillStyle = colour(modality);
      pen.fill();
      pen.lineWidth = mark && !image ? 3 : 1;
      pen.strokeStyle = colour(mark && !image ? 'ink' : 'panel');
      pen.stroke();
    }

    function paint() {
      const style = getComputedStyle(canvas);
      const colour = (name) => style.getPropertyValue(`--${name}`).trim();
      const sharp = devicePixelRatio || 1;
      pen.setTransform(sharp, 0, 0, sharp, 0, 0);
      pen.clearRect(0, 0, ...size);
      const seen = points.map((_, n) => n).filter((n) => inView(placeOf(n), 40));
      const asPictures = seen.length <= MOST_PICTURES;
      map.width = asPictures ? between(34, Math.sqrt((size[0] * size[1]) / (seen.length + 1)) * 0.42, 104) : 0;
      const isMarked = (n) => lit.has(n) || n === selected || n === hovered;
      for (const n of seen) if (!isMarked(n)) dot(n, asPictures, false, colour);
      for (const n of seen) if (isMarked(n)) dot(n, asPictures, true, colour);
      names(colour);
      if (outline) {
        pen.beginPath();
        outline.forEach(([x, y]) => pen.lineTo(x, y));
        pen.closePath();
        pen.fillStyle = colour('accent');
        pen.globalAlpha = 0.15;
        pen.fill();
        pen.globalAlpha = 1;
        pen.lineWidth = 2;
        pen.strokeStyle = colour('accent');
        pen.stroke();
      }
    }

    function names(colour) {
      pen.font = '600 14px system-ui, sans-serif';
      pen.textAlign = 'center';
      pen.textBaseline = 'middle';
      const taken = [];
      clusters.forEach((cluster, i) => {
        const words = cluster[language()];
        const at = place(cluster.x, cluster.y);
        if (map.width) at[1] = above(i, at); // over a picture, not on it
        const half = pen.measureText(words).width / 2 + 7;
        const x = between(half + 2, at[0], size[0] - half - 2);
        const box = [x - half, at[1] - 12, x + half, at[1] + 12];
        const free = taken.every((other) => box[2] < other[0] || box[0] > other[2] || box[3] < other[1] || box[1] > other[3]);
        if (!words || !inView(at) || !free) return;
        taken.push(box);
        pen.globalAlpha = 0.88;
        pen.fillStyle = colour('panel');
        pen.fillRect(box[0], box[1], 2 * half, 24);
        pen.globalAlpha = 1;
        pen.fillStyle = colour('ink');
        pen.fillText(words, x, at[1] + 1);
      });
    }

    // Where the picture of a cluster that is nearest to its middle ends, and a line higher.
    function above(cluster, middle) {
      let [best, least] = [middle[1], Infinity];
      points.forEach((point, n) => {
        if (point[5] !== cluster) return;
        const [x, y] = placeOf(n);
        const far = Math.hypot(x - middle[0], y - middle[1]);
        if (far < least) [best, least] = [y, far];
      });
      return between(14, best - map.width * 0.375 - 13, size[1]);
    }

    function nearest([x, y], within) {
      let best = -1;
      let least = Math.max(within, map.width / 2);
      points.forEach((_, n) => {
        const at = placeOf(n);
        const far = Math.hypot(at[0] - x, (at[1] - y) * (map.width ? 1.2 : 1));
        if (far < least) [best, least] = [n, far];
      });
      return best;
    }

    function select(n) {
      selected = n;
      item.hidden = n < 0;
      tip.hidden = true;
      if (n >= 0) {
        const [, , modality, name, day] = points[n];
        item.querySelector('.map-name').textContent = name;
        item.querySelector('.map-date').textContent = day;
        const image = item.querySelector('img');
        image.hidden = modality === 'text';
        if (modality !== 'text') image.src = address(n);
        said.textContent = `${name}, ${clusters[points[n][5]]?.[language()] ?? ''} ${day}`;
      }
      draw();
    }

    function zoom(by, [x, y] = [size[0] / 2, size[1] / 2]) {
      const scale = between(1, view.scale * by, LARGEST);
      const change = scale / view.scale;
      view.x = x - (x - view.x) * change;
      view.y = y - (y - view.y) * change;
      view.scale = scale;
      keep();
    }

    // The map never leaves its frame.
    function keep() {
      view.x = between(size[0] * (1 - view.scale), view.x, 0);
      view.y = between(size[1] * (1 - view.scale), view.y, 0);
      draw();
    }

    const tell = (name, detail) => part.dispatchEvent(
      new CustomEvent('fusion-map', { bubbles: true, detail: { name, map: part.dataset.map, ...detail } }),
    );

    const inside = ([x, y]) => outline.reduce((odd, [ax, ay], i) => {
      const [bx, by] = outline[(i + 1) % outline.length];
      return (ay > y) !== (by > y) && x < ((bx - ax) * (y - ay)) / (by - ay) + ax ? !odd : odd;
    }, false);

    function lasso(on) {
      lassoing = on;
      part.querySelector('[data-map-do="lasso"]').setAttribute('aria-pressed', String(on));
      canvas.dataset.lasso = on ? '' : 'off';
    }

    const at = (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };

    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      pressed = fingers.size === 1 ? at(event) : null;
      outline = fingers.size === 1 && (lassoing || event.shiftKey) ? [at(event)] : null;
    });
    canvas.addEventListener('pointermove', (event) => {
      const now = at(event);
      const before = fingers.get(event.pointerId);
      if (!before) { hover(now); return; }
      if (outline) outline.push(now);
      else if (fingers.size === 2) {
        const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, where]) => where);
        const far = (where) => Math.hypot(where[0] - other[0], where[1] - other[1]) || 1;
        view.x += (now[0] - before[0]) / 2;
        view.y += (now[1] - before[1]) / 2;
        zoom(far(now) / far(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
      } else {
        view.x += now[0] - before[0];
        view.y += now[1] - before[1];
        keep();
      }
      fingers.set(event.pointerId, now);
      draw();
    });
    const lift = (event) => {
      const now = at(event);
      fingers.delete(event.pointerId);
      if (outline && outline.length > 3) {
        const chosen = points.map((_, n) => n).filter((n) => inside(placeOf(n)));
        if (chosen.length) tell('choose', { points: chosen });
        lasso(false);
      } else if (pressed && event.type === 'pointerup' && Math.hypot(now[0] - pressed[0], now[1] - pressed[1]) < 6) {
        select(nearest(now, 22));
      }
      outline = pressed = null;
      draw();
    };
    canvas.addEventListener('pointerup', lift);
    canvas.addEventListener('pointercancel', lift);
    canvas.addEventListener('pointerleave', () => { tip.hidden = true; hovered = -1; draw(); });
    canvas.addEventListener('dblclick', (event) => zoom(2, at(event)));
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400), at(event));
    }, { passive: false });

    function hover(where) {
      const n = nearest(where, 16);
      if (n === hovered) return;
      hovered = n;
      tip.hidden = n < 0 || n === selected;
      if (n >= 0) {
        const [x, y] = placeOf(n);
        const image = points[n][2] === 'text' || map.width > 60 ? '' : Object.assign(new Image(), { src: address(n), alt: '' });
        tip.replaceChildren(image, points[n][3]);
        tip.style.left = `${between(90, x, size[0] - 90)}px`;
        tip.style.top = `${y}px`;
        tip.classList.toggle('is-below', y < 150);
      }
      draw();
    }

    // The next file in the direction of an arrow key: far ahead counts once, far aside twice.
    function step(dx, dy) {
      const from = selected >= 0 ? placeOf(selected) : [size[0] / 2, size[1] / 2];
      let best = -1;
      let least = Infinity;
      points.forEach((_, n) => {
        const to = placeOf(n);
        const ahead = (to[0] - from[0]) * dx + (to[1] - from[1]) * dy;
        const aside = Math.abs((to[0] - from[0]) * dy) + Math.abs((to[1] - from[1]) * dx);
        if (n !== selected && (ahead > 0 || selected < 0) && Math.abs(ahead) + 2 * aside < least) [best, least] = [n, Math.abs(ahead) + 2 * aside];
      });
      if (best < 0) return;
      select(best);
      const [x, y] = placeOf(best);
      view.x += between(PAD, x, size[0] - PAD) - x;
      view.y += between(PAD, y, size[1] - PAD) - y;
      keep();
    }

    canvas.addEventListener('keydown', (event) => {
      const arrows = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
      if (arrows[event.key]) step(...arrows[event.key]);
      else if (event.key === '+' || event.key === '=') zoom(1.5);
      else if (event.key === '-') zoom(1 / 1.5);
      else if (event.key === '0') act('whole');
      else if (event.key === 'Enter' && selected >= 0) act('open');
      else if (event.key === 'Escape' && selected >= 0) act('close');
      else return;
      event.preventDefault();
    });

    function act(what) {
      if (what === 'in') zoom(1.6);
      else if (what === 'out') zoom(1 / 1.6);
      else if (what === 'whole') { Object.assign(view, { scale: 1, x: 0, y: 0 }); draw(); }
      else if (what === 'lasso') lasso(!lassoing);
      else if (what === 'close') { select(-1); canvas.focus(); }
      else if (what === 'open') tell('choose', { points: [selected] });
      else if (what === 'like') tell('like', { point: selected });
    }
    part.addEventListener('click', ({ target }) => {
      const button = target.closest('[data-map-do]');
      if (button) act(button.dataset.mapDo);
    });

    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = frame;
      if (!clientWidth || (clientWidth === size[0] && clientHeight === size[1])) return;
      const sharp = devicePixelRatio || 1;
      size = [clientWidth, clientHeight];
      canvas.width = clientWidth * sharp;
      canvas.height = clientHeight * sharp;
      keep();
    }).observe(frame);

    const map = { draw, label, width: 0 };
    function label() { canvas.ariaLabel = window.fusion.texts[language()]['map.name']; }
    maps.add(map);
    label();
    fetch(`./studio/map/${part.dataset.map}.json`).then((answer) => answer.json()).then((given) => {
      points = given.points;
      clusters = given.clusters;
      part.dataset.drawn = points.length;
      draw();
    });
  }

  document.addEventListener('click', ({ target }) => {
    const chosen = target.closest('[data-map-choose]');
    const jump = target.closest('[data-map-jump]');
    const part = target.closest('[data-map]');
    if (chosen) {
      part.dispatchEvent(new CustomEvent('fusion-map', {
        bubbles: true, detail: { name: 'choose', map: part.dataset.map, points: JSON.parse(chosen.dataset.mapChoose) },
      }));
    } else if (jump) {
      const period = part.querySelector(`[data-period="${jump.dataset.mapJump}"]`);
      const list = period.parentElement;
      list.scrollTo({ top: period.offsetTop - list.offsetTop });
      list.focus({ preventScroll: true });
    }
  });

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      document.querySelectorAll('.map[data-map]:not([data-drawn])').forEach(start);
    });
  }).observe(root, { subtree: true, childList: true });
  // Light and dark, and the language, change what is drawn.
  const anew = new MutationObserver(() => maps.forEach((map) => { map.label(); map.draw(); }));
  anew.observe(root, { attributes: true, attributeFilter: ['data-lang'] });
  addEventListener('DOMContentLoaded', () => anew.observe(document.body, { attributes: true, attributeFilter: ['class'] }));
})();
