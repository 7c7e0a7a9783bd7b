// What each word of a caption looked at: the chosen word, or the one that is pointed at, is painted over the photo.
const MOST = 0.72; // what is looked at can still be seen
const held = () => element.querySelector('[data-attention]');
const chosen = (what) => Number(element.querySelector(`[data-of="${what}"] :checked`).value);

function paint(word) {
  const frame = held();
  if (!frame) return;
  frame.data ??= JSON.parse(frame.dataset.attention);
  const { data } = frame;
  const layer = chosen('layer');
  const lit = atob(data.lit[word][layer]);
  frame.querySelectorAll('.attention-part i').forEach((place, n) => {
    place.style.opacity = (MOST * lit.charCodeAt(n) / 255).toFixed(2);
  });
  frame.querySelectorAll('.shares .share').forEach((share, n) => {
    const percent = `${data.shares[word][layer][n]}%`;
    share.querySelector('.meter i').style.width = percent;
    share.querySelector('.number').textContent = percent;
  });
  const line = frame.querySelector('.attention-line');
  line.replaceChildren(...['en', 'zh-CN'].map((code, n) => {
    const said = Object.assign(document.createElement('span'), { className: 't', lang: code });
    said.textContent = data.said[n].replace('{word}', () => data.words[word])
      .replace('{place}', data.places[n][data.place[word][layer]]).replace('{times}', data.times[word][layer]);
    return said;
  }));
}

const again = () => paint(chosen('word'));
element.addEventListener('change', again);
element.addEventListener('pointerover', ({ target }) => {
  const pointed = target.closest('[data-of="word"] label');
  if (pointed) paint(Number(pointed.querySelector('input').value));
});
element.addEventListener('pointerout', ({ target }) => target.closest('[data-of="word"] label') && again());
new MutationObserver(() => { if (held() && !held().data) again(); }).observe(element, { childList: true, subtree: true });

// The first sample is shown once somebody looks at the panel.
new IntersectionObserver(([seen], watching) => {
  if (!seen.isIntersecting) return;
  watching.disconnect();
  if (element.querySelector('.result-card.is-empty')) trigger('begin', {});
}).observe(element.closest('.split')); // on a phone the result is below what is seen
