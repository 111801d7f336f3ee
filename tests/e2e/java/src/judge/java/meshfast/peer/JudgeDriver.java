package meshfast.peer;

import com.google.gson.JsonObject;
import java.io.PrintStream;
import org.apache.dubbo.common.Version;
import org.apache.dubbo.common.utils.NetUtils;

/** The driver that decides calls by Apache Dubbo's own routers and sends none. */
public final class JudgeDriver extends Driver {
    private JudgeDriver(PrintStream out) {
        super(out, null);
    }

    public static void main(String[] args) throws Exception {
        new JudgeDriver(answers()).run();
        System.exit(0);
    }

    @Override
    Object execute(JsonObject command) throws Exception {
        switch (text(command, "op", "")) {
            case "about":
                return new String[] {Version.getVersion(), NetUtils.getLocalHost()};
            case "judge":
                try (Judge judge = new Judge(command)) {
                    return judge.verdict();
                }
            default:
                return super.execute(command);
        }
    }
}
