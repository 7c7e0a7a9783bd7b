// Runs before gradio starts: settles the language that gradio will read from the browser, and light or dark.
(() => {
  const asked = new URLSearchParams(location.search), root = document.documentElement;
  const kept = (document.cookie.match(/(?:^|; )COOKIE=(\w+)/) || [])[1];
  const zh = /^zh/i.test(asked.get('lang') || kept || navigator.language), code = zh ? 'zh-CN' : 'en';
  document.cookie = 'COOKIE=' + (zh ? 'zh' : 'en') + ';path=/;max-age=31536000;samesite=lax';
  const say = (name, value) => Object.defineProperty(navigator, name, { get: () => value });
  say('language', code);
  say('languages', [code]);
  root.lang = code;
  root.dataset.lang = zh ? 'zh' : 'en';
  const look = localStorage.getItem('fusion_look');
  if (look && !asked.has('__theme')) {
    asked.set('__theme', look);
    history.replaceState(null, '', '?' + asked + location.hash);
  }
  window.fusion = FACTS;
  // Gradio complains of the end of its own requests when the page is left: that stays out of the console.
  addEventListener('beforeunload', () => {
    const { error } = console;
    console.error = () => {};
    setTimeout(() => { console.error = error; }, 3000);
  });
})();
