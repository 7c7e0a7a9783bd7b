// Several photos at one press, one every EVERY_MS; the files come with a `bring` event.
const EVERY_MS = 250;
const at = (name) => element.querySelector(`[data-${name}]`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function photos() {
  const camera = await navigator.mediaDevices.getUserMedia({ video: true });
  const video = at('picture');
  try {
    video.srcObject = camera;
    video.hidden = false;
    await video.play();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const taken = [];
    while (taken.length < MOST) {
      await pause(EVERY_MS);
      canvas.getContext('2d').drawImage(video, 0, 0);
      const photo = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.92));
      taken.push(new File([photo], `photo ${taken.length + 1}.jpg`, { type: 'image/jpeg' }));
      at('count').textContent = `${taken.length} / ${MOST}`;
    }
    return taken;
  } finally {
    for (const track of camera.getTracks()) track.stop();
    video.hidden = true;
  }
}
element.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-burst]');
  if (!button || button.disabled) return;
  button.disabled = true;
  at('problem').hidden = true;
  try {
    const files = [];
    for (const photo of await photos()) files.push((await upload(photo)).path);
    trigger('bring', { files, given: MOST });
  } catch {  // not allowed, no camera, or a page that came over the network without https
    at('problem').hidden = false;
  }
  at('count').textContent = '';
  button.disabled = false;
});
