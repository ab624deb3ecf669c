import asyncio, time, pytest
from support.leaders import *
from support.load import Load
from support.wait import eventually_async
import support.load
support.load.PACE_S=0.002
pytestmark=[pytest.mark.timeout(400)]

async def mark(running, what, records=20):
    t=time.time(); sent=dict(running._sent); got=running._counts()
    seen={}
    async def done():
        for k,c in list(running._sent.items()):
            if c>=sent.get(k,0)+records: seen.setdefault(k.decode(),time.time()-t)
        for n,c in running._counts().items():
            if c>got.get(n,0): seen.setdefault("read "+n,time.time()-t)
        return len(seen)==20
    try: await eventually_async(done, timeout_s=30)
    except AssertionError: print("STALL", {k:(sent.get(k),v) for k,v in running._sent.items()}, got, running._counts(), seen); raise
    print(what, round(max(seen.values()),1))

@pytest.mark.parametrize("direct",[False,False,True,True,False])
async def test_it(front, cluster, replicated, direct):
    topics=(replicated("stored",partitions=3),replicated("viewed",partitions=3))
    proxy=front()
    t=time.time()
    async with Load(bootstrap=cluster.bootstrap if direct else proxy.bootstrap, direct=cluster.bootstrap, stored=topics[0],viewed=topics[1],partitions=3) as running:
        print("\nentered", round(time.time()-t,1), "direct", direct); t=time.time()
        for node in (12,5,7)*5:
            for topic in topics:
                for p in range(3): await asyncio.to_thread(move_leader, cluster, topic, p, node)
            await mark(running,f"move {time.time()-t:.1f}")
            t=time.time()
    print("exited", round(time.time()-t,1)); t=time.time()
    if not direct: print(await asyncio.to_thread(running.check), round(time.time()-t,1))
    else: print(sum(running._sent.values()))
